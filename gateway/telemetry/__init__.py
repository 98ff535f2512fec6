"""What operators see of the gateway: log lines and metrics. Every folder may write them; this one imports only the errors."""
