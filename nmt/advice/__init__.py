"""Advice before a run: `nmt doctor` and `nmt init`."""
