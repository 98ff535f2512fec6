"""Tests of model_server."""
