"""A sentence pair."""

from __future__ import annotations

Pair = tuple[str, str]
