"""Tests of model_server.requests."""
