"""Plan and run a bound query."""
