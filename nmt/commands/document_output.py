"""The output of `nmt translate` for a document: the document, with the text inside it translated."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nmt import console
from nmt.commands.line_input import STDIN
from nmt.commands.options import writing
from nmt.data.reading.archives import find_file, open_bytes
from nmt.documents.filling import Setting
from nmt.documents.formats import DocumentKind
from nmt.documents.lines import LineTranslator
from nmt.documents.translating import translate_document
from nmt.errors import UsageError
from nmt.inference.translator import Translator


def translate_file(
    kind: DocumentKind, input: Path | None, output: Path | None, column: str | None, load: Callable[[], Translator]
) -> None:
    """Translate the document `input`, or that on standard input, to `output`; `load` loads the model.

    Raises DataError where it cannot be read, UsageError where several ranks are to share it.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError("several ranks share lines, not a document", hint="start the command without torchrun")
    with writing(output) as file:
        if input is None:
            content, name = console.stdin().read(), STDIN
        else:
            with open_bytes(find_file(input)) as stream:
                content, name = stream.read(), str(input)
        translator = load()
        with console.Progress("translate", None, unit="texts", shown=not console.QUIET) as progress:
            lines = LineTranslator(translator, progress.update)
            setting = Setting(placeholders=lines.placeholders, column=column, name=name)
            source, target = translator.direction.languages
            if source is None and translator.direction.tags:
                raise UsageError(f"--format {kind}: several languages lead to {target}", hint="say which: --from CODE")
            if source and target:
                setting = replace(setting, languages=(source, target))
            file.write(translate_document(content, kind, lines, setting))
    report = translator.report
    for warning in [*setting.report.warnings(), *report.warnings(numbered=False), *report.unused]:
        console.warn(warning)
