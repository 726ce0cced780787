"""From raw parallel text to batches of ids."""
