"""What the SQLite broker and the SQLite backend share: connection, schema, steps, wake-ups."""
