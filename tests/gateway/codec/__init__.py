"""Tests of gateway.codec."""
