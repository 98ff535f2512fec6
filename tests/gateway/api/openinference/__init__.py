"""Tests of gateway.api.openinference."""
