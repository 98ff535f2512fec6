"""Tests of model_export.sources."""
