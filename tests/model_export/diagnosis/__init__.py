"""Tests of model_export.diagnosis."""
