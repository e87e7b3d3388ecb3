"""A shop to run against: the real APIs' own wire formats over real HTTP, from a simulator or a replayed file."""
