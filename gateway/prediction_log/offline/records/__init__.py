"""Predictions as TFRecord files of PredictionLog messages, which TensorFlow Serving logs and warms up with."""
