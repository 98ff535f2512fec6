"""/, /docs and /openapi.json: what describes the routes to people and programs. Of the gateway, only app.py imports it."""
