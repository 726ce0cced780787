"""Tokenizing, encoding and batching parallel text."""
