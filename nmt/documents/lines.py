"""The lines of documents, translated by a translator."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from nmt.config.inference import Options
from nmt.errors import UsageError
from nmt.inference.results import Translation
from nmt.inference.translator import Translator


@dataclass
class LineTranslator:
    """Translates lines, aligned where the model and the engine can."""

    translator: Translator
    progress: Callable[[int], None] | None = None  # called with the number of lines done

    @property
    def placeholders(self) -> int:
        """Number of placeholders by which tags travel, 0 where they travel by alignment."""
        return self.translator.protector.count if self.translator.protector else 0

    @cached_property
    def can_align(self) -> bool:
        """Whether translations can be aligned: not by every engine, and not where text is protected."""
        if self.translator.protector:
            return False
        try:
            next(iter(self.translator.engine.attention([], None)), None)
        except UsageError:
            return False
        return True

    def __call__(self, lines: Sequence[str], *, alignment: bool) -> list[Translation]:
        done: list[Translation] = []
        for translation in self.translator.stream(lines, Options(alignment=alignment and self.can_align)):
            done.append(translation)
            if self.progress:
                self.progress(self.translator.report.lines)
        return done
