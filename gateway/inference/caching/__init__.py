"""Answers that were given before: how they are found, kept within bounds, and dropped. Nothing here knows the backend."""
