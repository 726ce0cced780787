"""Export to the formats of other engines, each behind a parity gate."""
