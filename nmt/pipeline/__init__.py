"""The stages of a run, from raw text to scores."""
