"""From facts to history: what is missing or stale, and nothing else."""
