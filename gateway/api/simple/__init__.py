"""/predict: one example in, one prediction out. No other dialect is imported."""
