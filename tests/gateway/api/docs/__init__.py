"""Tests of gateway.api.docs."""
