"""Filtering and counting parallel text."""
