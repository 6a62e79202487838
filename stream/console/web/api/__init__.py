"""The HTTP API under `/api/v1`, a noun a file."""
