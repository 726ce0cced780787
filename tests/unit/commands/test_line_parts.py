"""The parts of an output that several ranks share: who makes them, which are whole, and what is made of them."""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from torch import distributed

from nmt import console
from nmt.commands import line_parts
from nmt.commands.line_input import Reader
from nmt.commands.line_parts import SharedOutput, chunks, made_with, read_part, sharing, write_part
from nmt.config.decoding import DecodingConfig
from nmt.config.inference import InferenceConfig, Options
from nmt.errors import ArtifactError, InUseError, StorageError
from nmt.files import digest_file
from nmt.inference.report import Report
from nmt.inference.results import Candidate, Translation
from nmt.inference.translator import Translator
from nmt.locks import holding_output
from nmt.training.distributed import Ranks
from nmt.version import __version__

LINES = [f"line {number}" if number % 40 else "" for number in range(1, 101)]
"""Three chunks: lines 1 to 32, 33 to 96, 97 to 100; lines 40 and 80 are blank."""


class Shouter:
    """Translates into capitals, after the prefix."""

    def __init__(self) -> None:
        self.report, self.calls = Report(), list[int]()  # first lines

    def translate(self, lines: Sequence[str], _: Options, *, prefixes: Sequence[str] | None) -> list[Translation]:
        first = self.report.lines + 1
        self.calls.append(first)
        self.report.lines += len(lines)
        self.report.blank += [number for number, line in enumerate(lines, first) if not line]
        texts = [begun + line.upper() for begun, line in zip(prefixes or [""] * len(lines), lines, strict=True)]
        return [Translation(line, [Candidate(text, 0.0, [])]) for line, text in zip(lines, texts, strict=True)]


def store_at(turn: int) -> Any:
    """Return the store of a job whose ranks have taken `turn` parts."""
    store = distributed.HashStore()  # type: ignore[attr-defined]
    store.add("taken", turn)
    return store


class Job:
    """Runs the first rank of jobs that write `out.txt` by the model `model`."""

    def __init__(self, home: Path) -> None:
        self.output, self.model = home / "out.txt", home / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text("{}")
        self.parts, self.shouter = home / ".out.txt.parts", Shouter()
        self.updates: list[int] = []

    def run(
        self, lines: Sequence[str] = LINES, prefixes: Sequence[str] | None = None, turn: int = 0, **search: Any
    ) -> tuple[str, Report]:
        """Return the output and the report of a job; another rank has taken the parts before `turn`."""
        self.shouter, file = Shouter(), io.BytesIO()
        shared = SharedOutput(Ranks(store=store_at(turn)), self.output, file)
        shared.begin([self.model], InferenceConfig(), {"search": DecodingConfig(**search), "sampling": None})
        reader = Reader("in.txt", iter(lines), replaced=[7])
        translator = cast("Translator", self.shouter)
        report = shared.translate(translator, reader, prefixes, Options(), "text", self.updates.append)
        return file.getvalue().decode(), report

    def names(self) -> list[str]:
        return [path.name[:8] for path in sorted(self.parts.glob("*/*.part"))]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def text_of(lines: Sequence[str]) -> str:
    return "".join(f"{line.upper()}\n" for line in lines)


def test_parts_are_chunks_of_growing_size_and_the_report_is_of_all_lines(job: Job) -> None:
    assert job.run() == (text_of(LINES), Report(lines=100, replaced=[7], blank=[40, 80]))
    assert (job.shouter.calls, job.updates) == ([1, 33, 97], [32, 96, 100])
    assert job.names() == ["00000000", "00000001", "00000002"]
    assert [len(chunk) for chunk in chunks(iter(["x"] * 9000))] == [32, 64, 128, 256, 512, 1024, 2048, 2048, 2048, 840]


def test_an_empty_input_is_an_empty_output(job: Job) -> None:
    assert job.run([]) == ("", Report(replaced=[7]))


def test_a_prefix_goes_with_its_line(job: Job) -> None:
    prefixes = [f"{number}:" for number in range(1, 101)]
    assert job.run(prefixes=prefixes)[0] == text_of([f"{a}{b}" for a, b in zip(prefixes, LINES, strict=True)])


def test_a_part_that_another_rank_took_and_did_not_finish_is_missing_until_the_next_run(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StorageError) as caught:
        job.run(turn=1)
    assert str(caught.value).startswith(f"{job.parts}/")
    assert str(caught.value).endswith(
        ".part: missing or damaged (do all ranks read the same input? run again to make it)"
    )
    assert (job.shouter.calls, job.names()) == ([33, 97], ["00000001", "00000002"])
    assert capsys.readouterr().err == ""
    assert job.run() == (text_of(LINES), Report(lines=100, replaced=[7], blank=[40, 80]))
    assert job.shouter.calls == [1]
    assert capsys.readouterr().err == "translate: going on, parts done: 2\n"


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"x", lambda _: b""])
def test_a_damaged_part_is_made_anew(job: Job, damage: Any) -> None:
    job.run()
    path = next(job.parts.glob("*/00000001-*"))
    path.write_bytes(damage(path.read_bytes()))
    assert read_part(path) is None
    assert job.run()[0] == text_of(LINES)
    assert job.shouter.calls == [33]


def test_parts_of_lines_that_have_changed_are_made_anew(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.run()
    changed = [*LINES[:50], "other", *LINES[51:]]
    assert job.run(changed)[0] == text_of(changed)
    assert job.shouter.calls == [33]
    assert capsys.readouterr().err.splitlines() == [
        "translate: going on, parts done: 3",
        "translate: the input has changed, parts made anew: 1",
    ]
    job.run(changed, prefixes=[""] * 99 + ["y"])
    assert job.shouter.calls == [1, 33, 97]


def test_parts_made_with_other_settings_or_models_are_made_anew(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.run()
    job.run(beam_size=7)
    assert job.shouter.calls == [1, 33, 97]
    (job.model / "config.json").write_text("{ }")
    job.run(beam_size=7, turn=0)
    assert job.shouter.calls == [1, 33, 97]
    assert len(list(job.parts.iterdir())) == 1
    assert capsys.readouterr().err.splitlines() == [
        "translate: other settings, parts made anew: 3 (changed: search.beam_size)",
        "translate: other settings, parts made anew: 3 (changed: models)",
    ]


def test_translations_depend_on_version_models_exports_and_settings_but_on_no_device(tmp_path: Path) -> None:
    export = tmp_path / "exports" / "ctranslate2"
    export.mkdir(parents=True)
    for number, path in enumerate([tmp_path / "config.json", export / "manifest.json"]):
        path.write_text(str(number))
    digests = [digest_file(tmp_path / "config.json"), digest_file(export / "manifest.json")]
    found = made_with([tmp_path], InferenceConfig(tags=["<t>"], device="cpu", threads=3))
    assert found == made_with([tmp_path], InferenceConfig(tags=["<t>"]))
    assert (found["models"], found["inference"]["tags"]) == (digests[:1], ["<t>"])
    assert found["nmt"] == __version__
    assert made_with([tmp_path], InferenceConfig(engine="ctranslate2"))["models"] == digests


def test_another_rank_writes_parts_alone_and_sees_the_folder_of_the_first(job: Job) -> None:
    def begun(settings: DecodingConfig) -> SharedOutput:
        shared = SharedOutput(Ranks(rank=1, store=store_at(0)), job.output, io.BytesIO())
        shared.begin([job.model], InferenceConfig(), {"search": settings, "sampling": None})
        return shared

    with pytest.raises(StorageError, match=r"not seen by rank 1 \(the output must lie on a disk that all ranks share"):
        begun(DecodingConfig())
    job.run(LINES[:32])
    shared = begun(DecodingConfig())
    translator = cast("Translator", Shouter())
    shared.translate(translator, Reader("in.txt", iter(LINES)), None, Options(), "text", lambda _: None)
    assert cast("io.BytesIO", shared.file).getvalue() == b""
    assert job.names() == ["00000000", "00000001", "00000002"]


def test_ranks_compare_settings_before_they_begin(job: Job) -> None:
    class Pair(Ranks):
        """The first of two ranks, of which the other has other models."""

        def gather(self, value: Any) -> list[Any]:
            return [value, {**value, "models": "other"}]

    with pytest.raises(
        ArtifactError, match=r"^the processes of this job differ in their models: [0-9a-f]{12} on rank 0"
    ):
        SharedOutput(Pair(), job.output, io.BytesIO()).begin([job.model], InferenceConfig(), {})
    assert not job.parts.exists()


def joined_as(rank: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let `sharing` join as `rank`; return the list in which barriers are noted, by whether the output is there."""
    barriers: list[int] = []

    class One(Ranks):
        def barrier(self) -> None:
            barriers.append(next(numbers))

    @contextmanager
    def joined() -> Iterator[Ranks]:
        yield One(rank)

    numbers = count(1)
    monkeypatch.setattr(line_parts, "joined", joined)
    monkeypatch.setattr(console, "QUIET", False)
    return barriers


def test_the_output_appears_when_it_is_whole_and_the_parts_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, parts = tmp_path / "out.txt", tmp_path / ".out.txt.parts"
    barriers = joined_as(0, monkeypatch)

    def fail_half_way() -> None:
        with sharing(output) as shared:
            parts.mkdir()
            shared.file.write(b"half")
            with pytest.raises(InUseError), holding_output(output):
                pass
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert (list(tmp_path.iterdir()), barriers) == ([parts], [])
    with sharing(output) as shared:
        shared.file.write(b"whole")
        assert not console.QUIET
    assert (list(tmp_path.iterdir()), output.read_bytes(), barriers) == ([output], b"whole", [1])


def test_another_rank_is_quiet_and_writes_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    barriers = joined_as(1, monkeypatch)
    with sharing(tmp_path / "out.txt") as shared:
        shared.file.write(b"nothing")
        assert console.QUIET
        assert barriers == []
    assert (list(tmp_path.iterdir()), barriers) == ([], [1])


def test_a_part_holds_its_report_and_its_lines(tmp_path: Path) -> None:
    report, path = Report(9, blank=[3, 4], cut=[9]), tmp_path / "folder" / "0.part"
    assert read_part(path) is None
    write_part(path, report, "ä\n\n\u2028\n")
    assert read_part(path) == (report, "ä\n\n\u2028\n".encode())
    assert json.loads(path.read_bytes().split(b"\n")[1])["blank"] == [3, 4]
