"""Tests of model_export.rollouts."""
