"""Sends recorded requests to a model server, and compares its answers with the recorded ones."""
