"""/docs and /openapi.json: what describes the routes to people and programs, made from signatures. No dialect imports it."""
