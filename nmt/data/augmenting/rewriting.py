"""Pairs written otherwise, each made from one pair."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from nmt.data.augmenting.casing import Casing
from nmt.data.augmenting.final_marks import without_final_mark
from nmt.data.augmenting.typing_errors import with_typing_errors
from nmt.data.pairs import Pair, is_blank

Kind = Literal["upper", "title", "lower", "no_final_mark", "typos"]


@dataclass(frozen=True)
class Rewriter:
    """Writes pairs of two languages otherwise; matches of `kept`, such as placeholders, keep their letters."""

    languages: tuple[str, str]
    kept: re.Pattern[str] | None = None

    @cached_property
    def _kinds(self) -> dict[str, Callable[[Pair, random.Random], Pair]]:
        source, target = (Casing(language, self.kept) for language in self.languages)
        return {
            "upper": lambda pair, _: (source.upper(pair[0]), target.upper(pair[1])),
            "title": lambda pair, _: (source.title(pair[0]), pair[1]),
            "lower": lambda pair, _: (source.lower(pair[0]), target.lower(pair[1])),
            "no_final_mark": lambda pair, _: (without_final_mark(pair[0]), without_final_mark(pair[1])),
            "typos": lambda pair, rng: (with_typing_errors(pair[0], self.languages[0], rng, self.kept), pair[1]),
        }

    def rewrite(self, kind: str, pair: Pair, rng: random.Random) -> Pair | None:
        """Return `pair` written otherwise; None where its source has nothing that changes, as without a final mark."""
        changed = self._kinds[kind](pair, rng)
        is_changed = changed[0] != pair[0] and not any(map(is_blank, changed))
        return changed if is_changed else None
