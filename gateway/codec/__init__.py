"""Bytes and JSON values to numpy arrays, and back. No HTTP, and nothing that only one dialect puts around a tensor."""
