"""Experiments: runs that are made or read to be compared."""
