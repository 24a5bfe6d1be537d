"""Expressions that go on: what streams ask for, what came of it, and what will."""
