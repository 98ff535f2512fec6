"""Tests of gateway.inference."""
