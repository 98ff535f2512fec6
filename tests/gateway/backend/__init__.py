"""Tests of gateway.backend."""
