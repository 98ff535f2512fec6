"""Tests of the build script."""
