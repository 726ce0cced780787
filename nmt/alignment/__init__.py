"""Data that is generated, not read."""
