"""TensorFlow sessions: how they are configured and run, and a loaded version in one. A request is tensors by name here."""
