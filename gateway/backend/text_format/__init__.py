"""Protobuf's text format, for edits that leave the rest of a file as somebody wrote it."""
