"""/v2: the Open Inference Protocol, with JSON, binary and raw bodies. No other dialect is imported."""
