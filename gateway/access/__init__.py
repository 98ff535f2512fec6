"""Who may call: API keys, and in ``limits`` how much. Nothing here knows HTTP's routes, and nothing does I/O in a request."""
