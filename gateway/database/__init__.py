"""SQL databases as the gateway uses them: the address of one, and the engine that speaks to it. SQLite or PostgreSQL."""
