"""Requests joined into one run of a session, and how they wait for it."""
