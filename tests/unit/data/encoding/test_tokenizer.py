import json
import os
import random
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

from nmt.config.data import TokenizerConfig
from nmt.data.encoding import tokenizer as module
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID, Side, Tokenizer, plain, sample, train
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    trained(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.load(folder)


def error_of(folder: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        trained(folder, **options)
    return str(caught.value)


def test_a_joint_tokenizer_is_one_model_of_the_size_asked_for(folder: Path, tokenizer: Tokenizer) -> None:
    assert tokenizer.joint
    assert tokenizer.source_size == tokenizer.target_size == 330
    assert tokenizer.files == ["tokenizer.model", "tokenizer.json"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(tokenizer.files)
    assert tokenizer.encode_source(["die Katze"]) == tokenizer.encode_target(["die Katze"])
    assert tokenizer.normalization == "nmt_nfkc"


def test_separate_tokenizers_are_two_models(tmp_path: Path) -> None:
    tokenizer = trained(tmp_path, joint=False, vocab_size=290)
    assert not tokenizer.joint
    assert (tokenizer.source_size, tokenizer.target_size) == (290, 290)
    assert tokenizer.files == ["source.model", "target.model", "tokenizer.json"]
    assert tokenizer.encode_source(["die Katze"]) != tokenizer.encode_target(["die Katze"])
    assert tokenizer.source.decode(tokenizer.encode_source(["the cat"])) == ["the cat"]
    assert tokenizer.decode_target(tokenizer.encode_target(["die Katze"])) == ["die Katze"]


def test_the_special_ids_stand_first(tokenizer: Tokenizer) -> None:
    assert tokenizer.target.pieces([PAD_ID, UNK_ID, BOS_ID, EOS_ID]) == ["<pad>", "<unk>", "<s>", "</s>"]


def test_encoding_adds_no_special_ids_and_decoding_shows_none(tokenizer: Tokenizer) -> None:
    [ids] = tokenizer.encode_source(["the cat </s> sees"])
    assert not {PAD_ID, UNK_ID, BOS_ID, EOS_ID} & set(ids)
    assert tokenizer.source.decode([[BOS_ID, *ids, EOS_ID, PAD_ID]]) == ["the cat </s> sees"]


def test_batches_and_lines_without_text_keep_their_shape(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode_source([]) == []
    assert tokenizer.encode_source(["", "  "]) == [[], []]
    assert tokenizer.decode_target([]) == []
    assert tokenizer.decode_target([[], []]) == ["", ""]


def test_pieces_spell_the_line(tokenizer: Tokenizer) -> None:
    [ids] = tokenizer.encode_target(["der Garten"])
    pieces = tokenizer.target.pieces(ids)
    assert "".join(pieces) == "▁der▁Garten"
    assert tokenizer.source.pieces(ids) == pieces
    assert tokenizer.target.encode_pieces(["der Garten"]) == [pieces]
    assert tokenizer.target.decode_pieces([pieces, []]) == ["der Garten", ""]


def test_ids_are_read_from_words(tokenizer: Tokenizer) -> None:
    assert tokenizer.target.parse_ids(["0", "12", "329"], 1) == [0, 12, 329]
    assert tokenizer.target.parse_ids([], 1) == []


@pytest.mark.parametrize("word", ["330", "-1", "x", "", "²", "1.0"])
def test_what_is_no_id_is_named_with_its_line(tokenizer: Tokenizer, word: str) -> None:
    with pytest.raises(DataError) as caught:
        tokenizer.target.parse_ids(["1", word], 7)
    assert str(caught.value) == f"line 7: {word!r} is not an id of this tokenizer: 0 to 329"


def test_unknown_characters_are_spelled_in_bytes(tokenizer: Tokenizer) -> None:
    [ids] = tokenizer.encode_target(["語"])
    assert tokenizer.target.pieces(ids)[1:] == ["<0xE8>", "<0xAA>", "<0x9E>"]
    assert tokenizer.decode_target([ids]) == ["語"]


def test_without_byte_fallback_they_are_the_unknown_piece(tmp_path: Path) -> None:
    tokenizer = trained(tmp_path, byte_fallback=False, vocab_size=60)
    assert tokenizer.encode_target(["語"])[0][-1] == UNK_ID


def test_bytes_cannot_spell_a_second_line(tokenizer: Tokenizer) -> None:
    for character in BREAKS + "\0":
        pieces = ["▁", "a", *(f"<0x{byte:02X}>" for byte in character.encode()), "e"]
        ids = [tokenizer.target.processor.piece_to_id(piece) for piece in pieces]
        assert UNK_ID not in ids
        assert tokenizer.decode_target([ids]) == ["a e"]
        assert tokenizer.source.decode([ids]) == ["a e"]
        assert tokenizer.target.decode_pieces([pieces]) == ["a e"]


def test_bytes_that_are_no_utf8_become_the_replacement_character(tokenizer: Tokenizer) -> None:
    ids = [tokenizer.target.processor.piece_to_id(piece) for piece in ("▁", "a", "<0xE8>", "e")]
    assert tokenizer.decode_target([ids]) == ["a\ufffde"]


@pytest.mark.parametrize("character", [*BREAKS, "\0", "\u2581"])
def test_line_breaks_nul_and_the_space_symbol_are_spaces(tokenizer: Tokenizer, character: str) -> None:
    assert plain(f"a{character}b") == "a b"
    assert tokenizer.encode_source([f"a{character}b"]) == tokenizer.encode_source(["a b"])
    assert tokenizer.target.normalize(f"{character}a{character}b{character}") == "a b"


def test_normalisation_follows_the_rule_of_the_recipe(tmp_path: Path, tokenizer: Tokenizer) -> None:
    assert tokenizer.source.normalize(" Ａ  ﬁne\u00a0day ") == "A fine day"
    folded = trained(tmp_path, normalization="nmt_nfkc_cf", vocab_size=320)
    assert folded.normalization == "nmt_nfkc_cf"
    assert folded.target.normalize("ＡÄ") == "aä"


def test_user_defined_symbols_are_never_split(tmp_path: Path) -> None:
    tokenizer = trained(tmp_path, user_defined_symbols=["<2de>", 'x,"y'])
    assert tokenizer.source.encode_pieces(['<2de>the x,"y']) == [
        ["▁", "<2de>", *tokenizer_pieces(tokenizer, "the"), 'x,"y']
    ]
    assert tokenizer.source_size == 330


def tokenizer_pieces(tokenizer: Tokenizer, word: str) -> list[str]:
    """Return the pieces of `word` and the space after it, when no space stands before."""
    pieces = tokenizer.source.encode_pieces([f"<2de>{word} <2de>"])[0]
    return pieces[2:-1]


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


def test_lines_that_sentencepiece_would_leave_out_are_trained_on(tmp_path: Path) -> None:
    long = "q" * 20 + " w" * 5000
    train([long, "x\0x", "y\u2585y"], ["z"], settings(vocab_size=266), tmp_path, seed=1)
    side = Side.load(tmp_path / "tokenizer.model")
    assert {"q", "w", "x", "y", "z"} <= set(side.pieces(range(side.size)))


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_a_vocabulary_too_large_for_the_text_says_what_it_allows(tmp_path: Path, model_type: str) -> None:
    said = error_of(tmp_path, model_type=model_type, vocab_size=5000)
    limit = int(said.partition(" allows, ")[2].partition(" ")[0])
    assert said == (
        f"tokenizer.vocab_size = 5000 is more than the text of both sides allows, {limit} pieces "
        f"(lower tokenizer.vocab_size to at most {limit}, or give more text)"
    )
    assert trained(tmp_path, model_type=model_type, vocab_size=limit).source_size == limit


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


@pytest.mark.parametrize("symbols", [["ab", "ab"], ["<0x41>"]])
def test_a_symbol_defined_twice_is_named(tmp_path: Path, symbols: list[str]) -> None:
    said = error_of(tmp_path, user_defined_symbols=symbols)
    assert said == (f"tokenizer.user_defined_symbols: {symbols[-1]!r} is there twice, or is a piece of every tokenizer")


def test_other_refusals_of_sentencepiece_are_passed_on(tmp_path: Path) -> None:
    assert error_of(tmp_path, user_defined_symbols=[""]).startswith("SentencePiece cannot train on both sides: ")


def test_a_folder_without_a_tokenizer_is_an_artifact_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: missing, so this is no tokenizer \(train it again\)"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', '{"format": 1, "files": 3, "normalization": ""}'])
def test_a_damaged_card_is_an_artifact_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: damaged"):
        Tokenizer.load(tmp_path)


def test_a_card_of_another_format_is_an_artifact_error(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"format": 2}')
    message = r": a tokenizer of format 2; this nmt \S+ reads format 1 \(use the nmt that wrote it\)"
    with pytest.raises(ArtifactError, match=message):
        Tokenizer.load(tmp_path)


def test_a_model_file_that_is_missing_or_changed_is_an_artifact_error(tmp_path: Path, folder: Path) -> None:
    card = (folder / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(card)
    with pytest.raises(ArtifactError, match=r"tokenizer\.model: missing, though tokenizer\.json names it"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes((folder / "tokenizer.model").read_bytes() + b"x")
    message = r"tokenizer\.model: damaged: its SHA-256 is not the one in tokenizer\.json"
    with pytest.raises(ArtifactError, match=message):
        Tokenizer.load(tmp_path)
    assert json.loads(card)["model_type"] == "bpe"


def test_a_file_that_is_no_model_is_an_artifact_error(tmp_path: Path) -> None:
    path = tmp_path / "some.model"
    with pytest.raises(ArtifactError, match=r"some\.model: no such tokenizer: No such file"):
        Side.load(path)
    path.write_bytes(b"no model")
    with pytest.raises(ArtifactError, match=r"some\.model: not a SentencePiece model, or a damaged one"):
        Side.load(path)


def test_a_model_with_other_special_ids_is_an_artifact_error(tmp_path: Path) -> None:
    import sentencepiece

    path = tmp_path / "foreign.model"
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(SOURCES), model_writer=file, vocab_size=26, minloglevel=2
        )
    with pytest.raises(ArtifactError, match=r"its ids of <pad>, .* are \(-1, 0, 1, 2\), not \(0, 1, 2, 3\)"):
        Side.load(path)


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


def test_random_ids_decode_to_one_line_each(tokenizer: Tokenizer) -> None:
    rng = random.Random(1)
    for _ in range(300):
        [line] = tokenizer.decode_target([[rng.randrange(330) for _ in range(30)]])
        assert line.splitlines() == [line] * bool(line)


def test_tags_and_placeholders_are_pieces_once_and_stand_in_the_card(tmp_path: Path) -> None:
    config = settings(user_defined_symbols=["<2de>", "⟦1⟧"], placeholders=2)
    train(SOURCES, TARGETS, config, tmp_path, seed=1, tags=["<2de>", "<news>", "<news>"])
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.source.pieces(range(4, 9)) == ["<2de>", "⟦1⟧", "<news>", "⟦0⟧", "<0x00>"]
    assert (tokenizer.tags, tokenizer.placeholders) == (["<2de>", "<news>"], 2)
    pieces = tokenizer.source.encode_pieces(["<2de> <news> the⟦0⟧dog ⟦1⟧"])[0]
    assert {"<2de>", "<news>", "⟦0⟧", "⟦1⟧"} < set(pieces)


def test_a_card_from_before_tags_means_none(tmp_path: Path, folder: Path) -> None:
    card = json.loads((folder / "tokenizer.json").read_text())
    assert (card.pop("tags"), card.pop("placeholders")) == ([], 0)
    (tmp_path / "tokenizer.json").write_text(json.dumps(card))
    (tmp_path / "tokenizer.model").write_bytes((folder / "tokenizer.model").read_bytes())
    tokenizer = Tokenizer.load(tmp_path)
    assert (tokenizer.tags, tokenizer.placeholders) == ([], 0)


@pytest.mark.parametrize("damage", [{"tags": 3}, {"placeholders": "many"}])
def test_a_card_with_damaged_tags_or_placeholders_is_an_artifact_error(
    tmp_path: Path, folder: Path, damage: dict[str, Any]
) -> None:
    card = json.loads((folder / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps(card | damage))
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: damaged"):
        Tokenizer.load(tmp_path)


def test_a_tag_that_is_a_piece_of_every_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        train(SOURCES, TARGETS, settings(), tmp_path, seed=1, tags=["<0x41>"])
    assert str(caught.value) == "tags: '<0x41>' is a piece of every tokenizer (give the tag another name)"


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
    assert error_of(tmp_path, user_defined_symbols=[""]).startswith("SentencePiece cannot train on both sides: ")
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
from nmt.config.data import TokenizerConfig
from nmt.data.encoding.tokenizer import train

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
