"""Ports: the gRPC server with its services and health, and the metrics over HTTP."""
