"""The rows of the dashboard."""
