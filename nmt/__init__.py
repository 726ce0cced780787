"""Neural machine translation: from raw parallel text to a scored, shippable translator."""

__version__ = "0.1.0"
