"""`from nmt import Translator`: quick to import, typed, and as the page on it says."""

import math
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations, repeat
from pathlib import Path

import pytest
from conftest import ROOT, environment

import nmt
from nmt import Candidate, Options, PairScore, SamplingConfig, Translation, Translator

PAGE = ROOT / "docs" / "python.md"
LINES = ["A small dog sleeps.", "", "The woman wants to see the old house."]


@pytest.fixture(scope="module")
def translator(tiny_model: Path) -> Translator:
    return Translator.load(str(tiny_model), device="cpu")


def test_the_page_runs_as_it_stands(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 5
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    (tmp_path / "runs" / "demo" / "model").symlink_to(tiny_model)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
        assert capsys.readouterr().out.strip(), f"prints nothing:\n{block}"


def test_importing_the_package_imports_nothing_that_is_slow() -> None:
    slow = ["torch", "numpy", "pydantic", "sentencepiece", "datasets", "typer", "rich"]
    program = f"import sys, nmt; nmt.__version__; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_every_name_of_the_package_is_there_and_no_other() -> None:
    assert all(getattr(nmt, name) is not None for name in nmt.__all__)
    assert Translator.__module__ == "nmt.inference.translator"
    with pytest.raises(AttributeError, match="module 'nmt' has no attribute 'translate'"):
        nmt.translate  # noqa: B018


def test_several_threads_may_call_one_translator(translator: Translator) -> None:
    texts = [
        [*LINES, *(f"The old {word} sees {word}s." for word in words)] for words in permutations(["dog", "cat", "man"])
    ]
    options = Options(n_best=2, token_scores=True, alignment=True)
    expected = [translator.translate(lines, options) for lines in texts]
    before = translator.report.lines
    with ThreadPoolExecutor(len(texts)) as pool:
        assert list(pool.map(translator.translate, texts, repeat(options))) == expected
        scores = list(pool.map(translator.score, texts, texts))
    assert repr(scores) == repr([translator.score(lines, lines) for lines in texts])
    assert translator.report.lines == before + 3 * sum(map(len, texts))
    own = translator.with_engine(translator.engine)
    assert own.translate(texts[0], options) == expected[0]
    assert (own.report.lines, own.report.blank) == (len(texts[0]), [2])


@pytest.mark.slow
def test_a_type_checker_knows_the_names_and_what_they_give(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "use.py").write_text(
        "from nmt import Options, SamplingConfig, Translator\n"
        "translator = Translator.load('model')\n"
        "text: str = translator.translate(['a'], Options(n_best=2))[0].candidates[0].text\n"
        "scores: list[float] | None = next(translator.stream(iter(['a']))).candidates[0].token_scores\n"
        "Options(sampling=SamplingConfig(seed=1))\n"
        "translator.translate(['a'])[0].nosuch\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--no-incremental", "use.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment({"MYPYPATH": str(ROOT)}),
        check=False,
    )
    own = [line for line in done.stdout.split("\n") if line.startswith("use.py")]
    assert own == ['use.py:6: error: "Translation" has no attribute "nosuch"  [attr-defined]'], done.stdout


def test_a_translation_has_as_many_candidates_as_asked_for(translator: Translator) -> None:
    found = translator.translate(LINES, Options(n_best=2))
    assert all(isinstance(translation, Translation) for translation in found)
    assert [translation.source for translation in found] == LINES
    assert [len(translation.candidates) for translation in found] == [2, 1, 2]
    assert found[1].candidates == [Candidate("", 0.0, [])]
    for translation in found:
        first = translation.candidates[0]
        assert (translation.text, translation.score) == (first.text, first.score)
        assert (first.token_scores, first.alignment) == (None, None)
    assert [translation.text for translation in translator.translate(LINES)] == [one.text for one in found]


def test_a_stream_takes_an_endless_iterable(translator: Translator) -> None:
    def endless() -> Iterator[str]:
        while True:
            yield from LINES

    stream = translator.stream(endless())
    texts = [next(stream).text for _ in range(7)]
    assert texts[:3] == texts[3:6]


def test_samples_are_those_of_their_seed(translator: Translator) -> None:
    def drawn(seed: int) -> list[str]:
        options = Options(n_best=3, sampling=SamplingConfig(seed=seed, temperature=0.9))
        return [candidate.text for candidate in translator.translate(LINES[:1], options)[0].candidates]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len(set(drawn(1))) > 1


def test_a_pair_has_a_score_a_piece(translator: Translator) -> None:
    (pair, blank) = translator.score(LINES[:2], ["Ein kleiner Hund.", ""])
    assert isinstance(pair, PairScore)
    assert "".join(pair.pieces) == "▁Ein▁kleiner▁Hund."
    assert len(pair.token_scores) == len(pair.pieces) + 1
    assert pair.score == pytest.approx(sum(pair.token_scores) / ((5 + len(pair.token_scores)) / 6) ** 0.6)
    assert math.isnan(blank.score)
