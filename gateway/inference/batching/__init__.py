"""Requests joined into one call of the model server: when that is right, when it is done, and how rows are told apart again."""
