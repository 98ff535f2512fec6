"""The model servers behind the target: which there are, which of them get calls, and what they say together."""
