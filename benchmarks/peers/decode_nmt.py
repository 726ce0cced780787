"""Time nmt's own translator, by either of its engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from translating import Task, Translate, run

if TYPE_CHECKING:
    from nmt import Translation


def load(task: Task) -> Translate:
    """Load the bundle as `nmt translate` does."""
    from nmt import Translator

    engine: dict[str, Any] = {"engine": "ctranslate2", "export": task.engine}
    if task.engine.startswith("native"):
        engine = {"precision": task.precision}
    decoding = {
        "length_penalty": task.length_penalty,
        "min_length": 1,  # the others never translate a line as nothing, or are told not to
        "max_extra_length": task.extra_length,
        "batch_tokens": task.batch,
    }
    translator = Translator.load(task.bundle, decoding=decoding, threads=task.threads, devices=task.workers, **engine)

    def pieces(translation: Translation) -> int:
        return len(translation.candidates[0].pieces) + 1

    def translate(lines: list[str], beam_size: int) -> list[tuple[str, int]]:
        translator.decoding = translator.decoding.model_copy(update={"beam_size": beam_size})
        return [(translation.text, pieces(translation)) for translation in translator.translate(lines)]

    return translate


if __name__ == "__main__":
    run("nmt", load)
