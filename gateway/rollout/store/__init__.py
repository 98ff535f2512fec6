"""Plans, their history and their evidence in a SQL database. The calls block, and are made in threads."""
