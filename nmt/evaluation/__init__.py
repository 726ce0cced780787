"""Scores with signatures."""
