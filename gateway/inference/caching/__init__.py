"""Answers that were given before: how they are found, kept within bounds, and dropped. No backend is called from here."""
