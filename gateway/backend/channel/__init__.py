"""One gRPC channel at a time: whether it is connected, and in words why it is not."""
