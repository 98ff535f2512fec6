"""Tests of gateway.inference.batching."""
