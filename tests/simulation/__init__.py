"""Several processes on one log, producers and dashboards, and whatever can go wrong, as a seed
says: under a clock that jumps, and the same each time."""
