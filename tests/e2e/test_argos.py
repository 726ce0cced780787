"""The package of Argos Translate, installed and used by Argos Translate itself."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import Run, TinyRun

from nmt.tasks.grammar import generate
from nmt.version import ROOT

PYTHON = ROOT / ".peers" / "argos" / "bin" / "python"
TRANSLATE = """
import json, sys
from argostranslate import package, translate

package.install_from_path(sys.argv[1])
lines = json.load(sys.stdin)
pair = translate.get_translation_from_codes("en", "de")
texts = [pair.translate(line) for line in lines]
print(json.dumps([texts, [pair.underlying.sentencizer.split_sentences(line) for line in lines]]))
"""
GREEDY = {"ARGOS_BEAM_SIZE": "1", "ARGOS_COMPUTE_TYPE": "float32"}
"""Settings with which its search is nmt's: with a beam the two divide scores by other powers of the length; by default
it computes in the fastest type of the processor, not in that of the model."""


def translate(model: Path, home: Path, lines: list[str], **settings: str) -> tuple[list[str], list[list[str]]]:
    """Install the package `model` and translate `lines`, without a network; return texts, and the sentences of each."""
    places = {f"XDG_{kind}_HOME": str(home / kind) for kind in ("DATA", "CONFIG", "CACHE")}
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "https_proxy": "http://127.0.0.1:9", **places}
    done = subprocess.run(
        [PYTHON, "-c", TRANSLATE, model],
        input=json.dumps(lines),
        env=environment | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    texts, sentences = json.loads(done.stdout)
    return texts, sentences


def check_same(texts: list[str], own: list[str]) -> None:
    """Check that `texts` are those of nmt, but for what nmt ended at its limit: Argos Translate's is 256 pieces."""
    assert [pair for pair in zip(texts, own, strict=True) if not pair[0].startswith(pair[1])] == []
    assert sum(one == other for one, other in zip(texts, own, strict=True)) > len(own) / 2


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="no environment of Argos Translate: make bench-peers")
def test_argos_translate_installs_the_package_and_writes_what_the_engine_writes(
    tiny: TinyRun, tmp_path: Path, nmt_here: Run
) -> None:
    bundle = tiny.copy_model(tmp_path / "model")
    lines = [english for english, _ in generate("test", 800) if len(english) < 40]  # none that nmt has to cut
    sample = tmp_path / "sample"
    sample.write_text("\n".join(lines) + "\n", encoding="utf-8")
    package = tmp_path / "tiny.argosmodel"
    for options in (["argos", "-o", package], ["ctranslate2"]):
        assert nmt_here("export", bundle, "--sample", sample, "--to", *options).code == 0
    search = ["--engine", "ctranslate2", "--beam-size", "1", "--segments", "sentence"]
    own = nmt_here("translate", bundle, *search, stdin=sample.read_bytes()).lines

    texts, sentences = translate(package, tmp_path / "home", lines, **GREEDY)
    assert sentences == [[line] for line in lines]
    check_same(texts, own)
    assert len(translate(package, tmp_path / "home", lines)[0]) == len(lines)  # in a search of its own

    ended = [line for line, one, other in zip(lines, texts, own, strict=True) if one == other]
    paragraphs = [" ".join(three) for three in zip(ended[::3], ended[1::3], ended[2::3], strict=False)]
    own = nmt_here("translate", bundle, *search, stdin="".join(f"{text}\n" for text in paragraphs).encode()).lines
    texts, sentences = translate(package, tmp_path / "home", paragraphs, **GREEDY)
    assert [part for text in sentences for part in text] == ended[: 3 * len(paragraphs)]
    assert texts == own
