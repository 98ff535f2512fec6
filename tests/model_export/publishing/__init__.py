"""Tests of model_export.publishing."""
