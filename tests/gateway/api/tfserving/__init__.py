"""Tests of gateway.api.tfserving.routes."""
