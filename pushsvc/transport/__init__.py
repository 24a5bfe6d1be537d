"""How frames leave: carriers pull them for a subscriber, and each transport wraps them."""
