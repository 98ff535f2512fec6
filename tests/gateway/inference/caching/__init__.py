"""Tests of gateway.inference.caching."""
