"""Follows the plans in the database, once a second in each worker, and acts: loads, warms up, decides, drops."""
