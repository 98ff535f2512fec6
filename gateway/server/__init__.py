"""Sockets <-> Call and Answer: whole requests in, whole answers out. Nothing here knows a model or JSON."""
