"""Tests of gateway.api.simple."""
