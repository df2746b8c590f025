"""What docs/scaling.md reckons with: what a passage, a visitor, a session and a shard cost. See `__main__`."""
