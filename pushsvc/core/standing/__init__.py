"""Expressions that streams watch: reading them, their results at each step, and those of steps
before."""
