"""/v1: TensorFlow Serving's REST API, in its own words. No other dialect is imported."""
