"""Tests of model_server.session."""
