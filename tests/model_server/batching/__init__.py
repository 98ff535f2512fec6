"""Tests of model_server.batching."""
