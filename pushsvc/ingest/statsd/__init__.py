"""StatsD and DogStatsD."""
