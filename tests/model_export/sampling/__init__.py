"""Tests of model_export.sampling."""
