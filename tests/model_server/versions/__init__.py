"""Tests of model_server.versions."""
