"""How frames leave: a carrier that pulls for a subscriber, and what a transport wraps around it."""
