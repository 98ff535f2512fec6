"""SQL databases, SQLite and PostgreSQL, as every part of the gateway uses them: addresses, connections, tables, errors."""
