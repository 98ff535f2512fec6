"""Tests of model_server.network."""
