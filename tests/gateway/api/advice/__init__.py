"""Tests of gateway.api.advice."""
