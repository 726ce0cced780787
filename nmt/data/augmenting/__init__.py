"""Changed pairs to train on beside the cleaned ones."""
