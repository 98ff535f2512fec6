"""Tests of gateway.api.tfserving."""
