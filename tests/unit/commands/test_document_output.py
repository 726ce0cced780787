"""A document from a file or a pipe to a file; what was not as it should be is said."""

from pathlib import Path
from typing import Any

import pytest
from documents import upper

from nmt.commands.document_output import translate_file
from nmt.data.directions import Direction
from nmt.errors import UsageError
from nmt.inference.report import Report


class FakeTranslator:
    """Writes capitals; line 1 is a copy of its source."""

    def __init__(self) -> None:
        self.protector, self.engine, self.report = None, self, Report(copied=[1])
        self.direction = Direction("en", "de")

    def attention(self, *_: object) -> list[object]:
        return []

    def stream(self, lines: list[str], options: Any) -> Any:
        return upper(lines, alignment=options.alignment)


def test_a_file_is_translated_and_what_was_odd_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.html").write_text("<html lang=en><b>a</i>")
    fake: Any = FakeTranslator()
    translate_file("html", tmp_path / "a.html", tmp_path / "b.html", None, lambda: fake)
    assert (tmp_path / "b.html").read_text() == '<html lang="de"><b>A</b>'
    assert capsys.readouterr().err == (
        "nmt: warning: tags added or left out to balance the document: 2\n"
        "nmt: warning: translations that copy their lines: 1\n"
    )


def test_a_document_of_any_of_several_languages_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<b>a</b>")
    fake: Any = FakeTranslator()
    fake.direction = Direction(None, "de", ("<2de>",))
    with pytest.raises(UsageError) as caught:
        translate_file("html", tmp_path / "a.html", tmp_path / "b.html", None, lambda: fake)
    assert str(caught.value) == "--format html: several languages lead to de (say which: --from CODE)"
    assert not (tmp_path / "b.html").exists()


def test_the_model_is_loaded_after_the_document_is_read(tmp_path: Path) -> None:
    def load() -> Any:
        raise AssertionError

    with pytest.raises(Exception, match="no such file"):
        translate_file("html", tmp_path / "a.html", tmp_path / "b.html", None, load)
    assert not (tmp_path / "b.html").exists()
