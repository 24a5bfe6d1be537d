"""Fuzzing of whatever reads bytes that strangers send, guided by coverage."""
