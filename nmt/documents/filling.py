"""Translate the units of a document, and put their tags into the translations."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nmt.data.languages import same_language
from nmt.data.placeholders import SPELLED
from nmt.documents.placing import by_alignment, by_placeholders, spell
from nmt.documents.units import LETTER, Kind, Part, Unit
from nmt.errors import DataError
from nmt.inference.results import Translation

MOST_TAGS = 500
"""Tags of a unit that are placed by alignment; the time for it grows with tags times words."""


class TranslateLines(Protocol):
    """Translates lines, in order; with `alignment`, candidates are aligned where that is to be had."""

    def __call__(self, lines: Sequence[str], *, alignment: bool) -> Sequence[Translation]: ...


@dataclass
class DocumentReport:
    """What a document had, and what could not be kept as it was."""

    units: int = 0  # texts translated
    tagged: int = 0  # those with tags inside
    piecewise: int = 0  # those translated between their tags, for lack of an alignment
    unplaced: int = 0  # tags around text that stand empty or at the end, as the translation does not tell their place
    replaced: int = 0  # words of translations in whose place text stands that is not translated
    repaired: int = 0  # tags added or left out to balance the document

    def warnings(self) -> list[str]:
        """Return a sentence for each kind of irregularity that occurred."""
        found = {
            "texts translated piece by piece between their tags, as they have no alignment": self.piecewise,
            "tags whose text was not found in the translation, now empty or at the end": self.unplaced,
            "words of the translation replaced by text that is not translated, such as code": self.replaced,
            "tags added or left out to balance the document": self.repaired,
        }
        return [f"{sentence}: {count:,}" for sentence, count in found.items() if count]


@dataclass(frozen=True)
class Setting:
    """What a document is translated with."""

    languages: tuple[str, str] | None = None  # codes of source and target; None leaves those of the document
    placeholders: int = 0
    """Placeholders that the model knows, by which tags travel where they are; 0 has them travel by alignment."""
    column: str | None = None  # of a table: the column to translate, by name or number
    name: str = "document"  # in messages
    report: DocumentReport = field(default_factory=DocumentReport)

    def check_language(self, code: str, said: str, side: int = 1) -> None:
        """Raise DataError where a document is `said` to be in another language than `side`, the target by default."""
        if code and self.languages and not same_language(code, self.languages[side]):
            what = ("source", "target")[side]
            problem = f"{self.name}: {said}{code}, and the {what} language of the model is {self.languages[side]}"
            raise DataError(problem, hint="take another model, or correct the document")


def translate_parts(parts: Sequence[Part], translate: TranslateLines, setting: Setting) -> list[str]:
    """Return the parts of a document with its units translated.

    The line of a unit without tags is its text, so that its translation is that of the line by itself.
    """
    report = setting.report
    units = [part for part in parts if isinstance(part, Unit)]
    plain = [unit for unit in units if unit.is_plain]
    tagged = [unit for unit in units if not unit.is_plain]
    report.units += len(units)
    report.tagged += len(tagged)
    lines = [unit.layout()[0] for unit in plain]
    texts = [translation.text for translation in (translate(lines, alignment=False) if lines else [])]
    done = {id(unit): unit.escape(text) for unit, text in zip(plain, texts, strict=True)}
    done |= (_by_placeholders if setting.placeholders else _by_alignment)(tagged, translate, setting)
    rest = [unit for unit in tagged if id(unit) not in done]
    report.piecewise += len(rest)
    done |= _piecewise(rest, translate)
    return [part if isinstance(part, str) else part.finish(done[id(part)]) for part in parts]


Done = dict[int, str]
"""Translated units by their identity."""


def _by_alignment(tagged: Sequence[Unit], translate: TranslateLines, setting: Setting) -> Done:
    """Translate the units that have an alignment."""
    few = [unit for unit in tagged if len(unit.items) <= MOST_TAGS]
    lines = [unit.layout()[0] for unit in few]
    done: Done = {}
    for unit, translation in zip(few, translate(lines, alignment=True) if lines else [], strict=True):
        best = translation.candidates[0]
        if best.alignment is not None:
            placed = by_alignment(unit, best.text, best.alignment)
            setting.report.unplaced += placed.unplaced
            setting.report.replaced += placed.replaced
            done[id(unit)] = placed.source
    return done


def _by_placeholders(tagged: Sequence[Unit], translate: TranslateLines, setting: Setting) -> Done:
    """Translate the units whose tags the model has placeholders for."""
    spelled = [(unit, *spell(unit)) for unit in tagged if not SPELLED.search(unit.layout()[0])]
    few = [(unit, line) for unit, line, count in spelled if count <= setting.placeholders]
    done: Done = {}
    lines = [line for _, line in few]
    for (unit, _), translation in zip(few, translate(lines, alignment=False) if lines else [], strict=True):
        placed = by_placeholders(unit, translation.text)
        setting.report.unplaced += placed.unplaced
        done[id(unit)] = placed.source
    return done


def _piecewise(units: Sequence[Unit], translate: TranslateLines) -> Done:
    """Translate the texts between the tags of `units` by themselves."""
    texts = [
        " ".join(item.text.split())
        for unit in units
        for item in unit.items
        if item.kind is Kind.TEXT and LETTER.search(item.text)
    ]
    translations = iter(translate(texts, alignment=False) if texts else [])

    def render(unit: Unit) -> str:
        out = []
        for item in unit.items:
            if item.kind is Kind.TEXT and LETTER.search(item.text):
                bare = item.text.strip()
                before, _, after = item.text.partition(bare)
                out.append(unit.escape(before + next(translations).text + after))
            else:
                out.append(item.tag)
        return "".join(out)

    return {id(unit): render(unit) for unit in units}
