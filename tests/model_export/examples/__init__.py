"""Tests of model_export.examples."""
