"""The worker classes that gunicorn runs the gateway with."""
