"""Several gateways and model servers: an autoscaler that is simulated, and servers that come, go and fail under load."""
