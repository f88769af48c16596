"""What the Redis broker and the Redis backend share: where the server is, connections to it, scripts, and keys."""
