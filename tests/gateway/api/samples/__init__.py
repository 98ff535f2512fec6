"""Tests of gateway.api.samples."""
