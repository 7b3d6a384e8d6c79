"""The service: a journal of entries, a worker that applies them, and the interfaces around."""
