"""Training a tokenizer: reproducible, refused in words of the recipe, in a process that ends with its parent."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from processes import alive, wait_until

from nmt.config.tokenizer import TokenizerConfig
from nmt.data.encoding import tokenizer_training as module
from nmt.data.encoding.tokenizer import SentencePieceModel, Tokenizer
from nmt.data.encoding.tokenizer_training import sample, train
from nmt.errors import ArtifactError, DataError

SOURCES = ["the cat sees the dog", "a dog sleeps in the garden", "the garden is green", "who sees the green cat"] * 8
TARGETS = ["die Katze sieht den Hund", "ein Hund schläft im Garten", "der Garten ist grün", "wer sieht die Katze"] * 8
BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"


def settings(**options: Any) -> TokenizerConfig:
    return TokenizerConfig(**({"vocab_size": 330} | options))


def trained(folder: Path, **options: Any) -> Tokenizer:
    folder.mkdir(exist_ok=True)
    train(SOURCES, TARGETS, settings(**options), folder, seed=1)
    return Tokenizer.load(folder)


def error_of(folder: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        trained(folder, **options)
    return str(caught.value)


def test_the_same_text_seed_and_settings_give_the_same_files(tmp_path: Path) -> None:
    for model_type, size in (("bpe", 330), ("unigram", 300)):
        files = []
        for name in ("a", "b"):
            folder = tmp_path / f"{model_type}-{name}"
            trained(folder, model_type=model_type, vocab_size=size)
            files.append({path.name: path.read_bytes() for path in folder.iterdir()})
        assert files[0] == files[1]


def test_training_writes_nothing_to_the_console(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path)
    error_of(tmp_path, vocab_size=5000)
    assert capfd.readouterr() == ("", "")


def test_training_counts_lines_and_samples_as_many_of_each_side(tmp_path: Path) -> None:
    counts = train(SOURCES, TARGETS, settings(sample_sentences=20, vocab_size=300), tmp_path, seed=1)
    assert counts == {"source": {"lines": 32, "trained_on": 10}, "target": {"lines": 32, "trained_on": 10}}
    counts = train(SOURCES, TARGETS, settings(sample_sentences=20, vocab_size=290, joint=False), tmp_path, seed=1)
    assert counts == {"source": {"lines": 32, "trained_on": 20}, "target": {"lines": 32, "trained_on": 20}}


@pytest.mark.parametrize(
    "options", [{}, {"model_type": "unigram", "vocab_size": 300}, {"joint": False, "vocab_size": 300}]
)
def test_masks_are_pieces_that_no_text_has(tmp_path: Path, options: dict[str, Any]) -> None:
    spelled = ["<mask>", "a<mask>b <mask1>", "<mask1><mask2>"] * 20
    train([*SOURCES, *spelled], [*TARGETS, *spelled], settings(masks=3, **options), tmp_path, seed=1)
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.masks == [4, 5, 6]
    for side in (tokenizer.source, tokenizer.target):
        assert side.size == settings(**options).vocab_size
        assert side.pieces(tokenizer.masks) == ["<mask>", "<mask1>", "<mask2>"]
        rows = side.encode(spelled)
        assert not set(tokenizer.masks) & {i for row in rows for i in row}
        assert side.decode(rows) == spelled
        [cat] = side.encode(["cat"])
        assert side.decode([tokenizer.masks, [4, *cat, 6]]) == ["", "cat"]
        sampled = side.sample("<mask> x", 0.5, 1)
        assert not set(tokenizer.masks) & set(sampled)


def test_a_card_with_other_masks_than_the_model_is_damaged(tmp_path: Path) -> None:
    assert trained(tmp_path).masks == []
    card = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert "masks" not in card
    (tmp_path / "tokenizer.json").write_text(json.dumps({**card, "masks": 1}), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: damaged: '<mask>' is no piece of tokenizer\.model"):
        Tokenizer.load(tmp_path)


def test_lines_that_sentencepiece_would_leave_out_are_trained_on(tmp_path: Path) -> None:
    long = "q" * 20 + " w" * 5000
    train([long, "x\0x", "y\u2585y"], ["z"], settings(vocab_size=266), tmp_path, seed=1)
    side = SentencePieceModel.load(tmp_path / "tokenizer.model")
    assert {"q", "w", "x", "y", "z"} <= set(side.pieces(range(side.size)))


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_a_vocabulary_too_large_for_the_text_says_what_it_allows(tmp_path: Path, model_type: str) -> None:
    said = error_of(tmp_path, model_type=model_type, vocab_size=5000)
    limit = int(said.partition(" allows, ")[2].partition(" ")[0])
    assert said == (
        f"tokenizer.vocab_size = 5000 is more than the text of both sides allows, {limit} pieces "
        f"(lower tokenizer.vocab_size to {limit}, or set tokenizer.hard_vocab_limit = false)"
    )
    assert trained(tmp_path, model_type=model_type, vocab_size=limit).source_size == limit


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
@pytest.mark.parametrize("joint", [True, False])
def test_a_vocabulary_without_a_hard_limit_is_an_upper_bound(
    tmp_path: Path, model_type: str, joint: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    options = {"model_type": model_type, "joint": joint, "hard_vocab_limit": False}
    found = trained(tmp_path / "much", vocab_size=5000, **options)
    assert 270 < found.source_size < 500
    assert found.source_size == found.target_size or not joint
    side = "both sides" if joint else "the source side"
    assert f"tokenizer: the text of {side} has no more than {found.source_size} pieces" in capfd.readouterr().err
    if joint:
        assert trained(tmp_path / "little", vocab_size=300, **options).source_size == 300
        assert capfd.readouterr().err == ""


def test_of_separate_sides_the_one_at_fault_is_named(tmp_path: Path) -> None:
    config = settings(joint=False, vocab_size=300)
    with pytest.raises(DataError, match="more than the text of the target side allows"):
        train(SOURCES, ["a"], config, tmp_path, seed=1)


def test_a_vocabulary_without_room_for_the_characters_says_so(tmp_path: Path) -> None:
    said = error_of(tmp_path, vocab_size=270)
    assert said.startswith("tokenizer.vocab_size = 270 is too small for both sides: its characters and")
    assert "(raise tokenizer.vocab_size above " in said
    least = int(said.partition("alone are ")[2].partition(" ")[0])
    assert trained(tmp_path, vocab_size=least + 1).source_size == least + 1


def test_blank_text_cannot_be_trained_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no text to train a tokenizer on: both sides blank"):
        train(["", " "], ["\n"], settings(), tmp_path, seed=1)


def test_a_sample_of_more_lines_than_there_are_is_all_of_them() -> None:
    assert sample(["a", "b"], 5, seed=1) == (["a", "b"], 2)
    assert sample([], 5, seed=1) == ([], 0)


def test_a_sample_is_the_same_for_the_same_seed_only() -> None:
    lines = [str(i) for i in range(1000)]
    assert sample(lines, 10, seed=1) == sample(lines, 10, seed=1)
    assert sample(lines, 10, seed=1) != sample(lines, 10, seed=2)


@pytest.mark.parametrize("size", [1, 3])
def test_every_line_is_sampled_with_the_same_chance(size: int) -> None:
    draws = 4000
    counts = Counter(line for seed in range(draws) for line in sample(map(str, range(12)), size, seed=seed)[0])
    expected = draws * size / 12
    assert len(counts) == 12
    # Five standard deviations of a binomial count.
    assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())
    assert all(len(set(sample(map(str, range(12)), size, seed=seed)[0])) == size for seed in range(50))


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let any text be trained on in a process of its own."""
    monkeypatch.setattr(module, "FEW_LINES", 0)


def test_a_process_of_its_own_makes_the_same_files_and_leaves_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    awkward = ["x\0x\u2028ß 🎉", "▁ \r语言", 'quo"te, <s>']
    for model_type, size in (("bpe", 350), ("unigram", 305)):
        files = []
        for name, few in (("within", 2000), ("apart", 0)):
            monkeypatch.setattr(module, "FEW_LINES", few)
            folder = tmp_path / f"{model_type}-{name}"
            folder.mkdir()
            config = settings(model_type=model_type, vocab_size=size, user_defined_symbols=['x,"y'])
            train([*SOURCES, *awkward], TARGETS, config, folder, seed=1)
            files.append({path.name: path.read_bytes() for path in folder.iterdir()})
        assert files[0] == files[1]
        assert sorted(files[0]) == ["tokenizer.json", "tokenizer.model"]
        begins, ends = capfd.readouterr().err.splitlines()
        assert begins == "tokenizer: training on 67 lines of both sides"
        assert ends in {f"tokenizer: {size} pieces of both sides in {seconds}s" for seconds in range(30)}


@pytest.mark.usefixtures("apart")
def test_what_sentencepiece_refuses_in_a_process_of_its_own_is_said_the_same(tmp_path: Path) -> None:
    assert " is more than the text of both sides allows, " in error_of(tmp_path, vocab_size=5000)
    assert " is too small for the source side: " in error_of(tmp_path, vocab_size=265, joint=False)
    with pytest.raises(DataError, match="no text to train a tokenizer on"):
        train([], [], settings(), tmp_path, seed=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("how", ["killed by SIGKILL", "exit code 3"])
def test_a_training_process_that_dies_is_a_data_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    end = "os.kill(os.getpid(), 9)" if "SIGKILL" in how else "os._exit(3)"
    interpreter = tmp_path / "interpreter"
    interpreter.write_text(f"#!{sys.executable}\nimport os\n{end}\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    assert error_of(tmp_path) == (
        f"the process that trains the tokenizer on 64 lines has ended: {how} "
        "(does it need more memory than there is? lower tokenizer.sample_sentences)"
    )


def test_the_training_process_imports_nothing_slow() -> None:
    slow = {"torch", "datasets", "numpy", "pyarrow"}
    program = f"import sys, nmt.data.encoding.tokenizer; print(sorted({slow} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


SLOW = """
import random, subprocess
from pathlib import Path
from nmt.config.tokenizer import TokenizerConfig
from nmt.data.encoding.tokenizer_training import train

class Loud(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        print(self.pid, flush=True)

subprocess.Popen = Loud
rng = random.Random(1)
lines = ["".join(rng.choices("abcdefgh", k=2000)) for _ in range(2001)]
config = TokenizerConfig(vocab_size=9000, model_type="unigram")
train(lines, lines, config, Path(FOLDER), seed=1)
"""
"""Trains for much longer than a test has patience."""


@contextmanager
def slow_training(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Yield a process that trains, and the id of the one that computes for it."""
    script = SLOW.replace("FOLDER", repr(str(folder)))
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        try:
            time.sleep(0.5)  # into SentencePiece
            assert alive(child)
            yield process, child
        finally:
            process.kill()
            if alive(child):
                os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc who is alive")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_training_ends_at_once_with_whoever_wanted_it(tmp_path: Path, number: signal.Signals) -> None:
    with slow_training(tmp_path) as (process, child):
        process.send_signal(number)
        began = time.monotonic()
        assert process.wait(20) == -number
        assert time.monotonic() - began < 2
        wait_until(lambda: not alive(child))
        assert process.stderr
        said = process.stderr.read()
        assert said.count("Traceback") == (number == signal.SIGINT)
    assert list(tmp_path.iterdir()) == []
