"""Runs and numbers in words."""
