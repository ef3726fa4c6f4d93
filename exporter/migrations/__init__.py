"""The store's versions: each revision brings the tables one step on, on SQLite and on PostgreSQL alike."""
