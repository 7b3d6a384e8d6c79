"""Routes: translation between the wire and the journal, and nothing else."""
