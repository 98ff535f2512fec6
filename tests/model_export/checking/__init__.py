"""Tests of model_export.checking."""
