import json
import random
from pathlib import Path
from typing import Any

import pytest
from runs import unpack_format_1

from nmt.config.tokenizer import TokenizerConfig
from nmt.data.encoding.normalization import plain
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID, SentencePieceModel, Tokenizer
from nmt.data.encoding.tokenizer_training import train
from nmt.errors import ArtifactError, DataError
from nmt.files import digest

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


def test_a_joint_tokenizer_is_one_model_of_the_size_asked_for(folder: Path, tokenizer: Tokenizer) -> None:
    assert tokenizer.joint
    assert tokenizer.source_size == tokenizer.target_size == 330
    assert tokenizer.files == ["tokenizer.model", "tokenizer.json"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(tokenizer.files)
    assert tokenizer.source.encode(["die Katze"]) == tokenizer.target.encode(["die Katze"])
    assert tokenizer.normalization == "nmt_nfkc"


def words_of(folder: Path, lines: list[str], **options: Any) -> Tokenizer:
    folder.mkdir(exist_ok=True)
    config = settings(model_type="word", byte_fallback=False, **{"hard_vocab_limit": False, **options})
    train(lines, lines, config, folder, seed=1)
    return Tokenizer.load(folder)


def test_each_word_is_a_piece_of_a_model_of_words(tmp_path: Path, tokenizer: Tokenizer) -> None:
    line = "7 + i12 <mask> 70 é+é"
    side = words_of(tmp_path, [line]).source
    assert side.encode_pieces([line]) == [[f"\u2581{word}" for word in line.split()]]
    assert side.size == 4 + 6
    assert (side.is_of_words, tokenizer.source.is_of_words) == (True, False)


def test_words_without_a_piece_are_unknown_once_in_a_row(tmp_path: Path) -> None:
    side = words_of(tmp_path, ["a b"] * 3 + ["c"], vocab_size=16).target
    assert side.encode(["a x b", "a x y b", "ab", " b  a\t", ""]) == [[4, 1, 5], [4, 1, 5], [1], [5, 4], []]
    assert side.decode([[4, 1, 5]]) == ["a \u2047  b"]


def test_a_model_of_words_keeps_the_most_frequent(tmp_path: Path) -> None:
    lines = [" ".join(f"w{number}" for number in range(length)) for length in range(1, 31)]
    assert words_of(tmp_path, lines, vocab_size=24).source.pieces(range(4, 24)) == [f"\u2581w{n}" for n in range(20)]
    with pytest.raises(DataError, match="is more than the text of both sides allows, 34 pieces"):
        words_of(tmp_path, lines, hard_vocab_limit=True)


def test_separate_tokenizers_are_two_models(tmp_path: Path) -> None:
    tokenizer = trained(tmp_path, joint=False, vocab_size=290)
    assert not tokenizer.joint
    assert (tokenizer.source_size, tokenizer.target_size) == (290, 290)
    assert tokenizer.files == ["source.model", "target.model", "tokenizer.json"]
    assert tokenizer.source.encode(["die Katze"]) != tokenizer.target.encode(["die Katze"])
    assert tokenizer.source.decode(tokenizer.source.encode(["the cat"])) == ["the cat"]
    assert tokenizer.target.decode(tokenizer.target.encode(["die Katze"])) == ["die Katze"]


def test_the_special_ids_stand_first(tokenizer: Tokenizer) -> None:
    assert tokenizer.target.pieces([PAD_ID, UNK_ID, BOS_ID, EOS_ID]) == ["<pad>", "<unk>", "<s>", "</s>"]


def test_encoding_adds_no_special_ids_and_decoding_shows_none(tokenizer: Tokenizer) -> None:
    [ids] = tokenizer.source.encode(["the cat </s> sees"])
    assert not {PAD_ID, UNK_ID, BOS_ID, EOS_ID} & set(ids)
    assert tokenizer.source.decode([[BOS_ID, *ids, EOS_ID, PAD_ID]]) == ["the cat </s> sees"]


def test_batches_and_lines_without_text_keep_their_shape(tokenizer: Tokenizer) -> None:
    assert tokenizer.source.encode([]) == []
    assert tokenizer.source.encode(["", "  "]) == [[], []]
    assert tokenizer.target.decode([]) == []
    assert tokenizer.target.decode([[], []]) == ["", ""]


def test_pieces_spell_the_line(tokenizer: Tokenizer) -> None:
    [ids] = tokenizer.target.encode(["der Garten"])
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
    [ids] = tokenizer.target.encode(["語"])
    assert tokenizer.target.pieces(ids)[1:] == ["<0xE8>", "<0xAA>", "<0x9E>"]
    assert tokenizer.target.decode([ids]) == ["語"]


def test_without_byte_fallback_they_are_the_unknown_piece(tmp_path: Path) -> None:
    tokenizer = trained(tmp_path, byte_fallback=False, vocab_size=60)
    assert tokenizer.target.encode(["語"])[0][-1] == UNK_ID


def test_bytes_cannot_spell_a_second_line(tokenizer: Tokenizer) -> None:
    for character in BREAKS + "\0":
        pieces = ["▁", "a", *(f"<0x{byte:02X}>" for byte in character.encode()), "e"]
        ids = [tokenizer.target.processor.piece_to_id(piece) for piece in pieces]
        assert UNK_ID not in ids
        assert tokenizer.target.decode([ids]) == ["a e"]
        assert tokenizer.source.decode([ids]) == ["a e"]
        assert tokenizer.target.decode_pieces([pieces]) == ["a e"]


def test_bytes_that_are_no_utf8_become_the_replacement_character(tokenizer: Tokenizer) -> None:
    ids = [tokenizer.target.processor.piece_to_id(piece) for piece in ("▁", "a", "<0xE8>", "e")]
    assert tokenizer.target.decode([ids]) == ["a\ufffde"]


@pytest.mark.parametrize("character", [*BREAKS, "\0", "\u2581"])
def test_line_breaks_nul_and_the_space_symbol_are_spaces(tokenizer: Tokenizer, character: str) -> None:
    assert plain(f"a{character}b") == "a b"
    assert tokenizer.source.encode([f"a{character}b"]) == tokenizer.source.encode(["a b"])
    assert tokenizer.target.normalize(f"{character}a{character}b{character}") == "a b"


def test_normalisation_follows_the_rule_of_the_recipe(tmp_path: Path, tokenizer: Tokenizer) -> None:
    assert tokenizer.source.normalize(" Ａ  ﬁne\u00a0day ") == "A fine day"
    assert tokenizer.target.normalize(" Ａ  ﬁne\u00a0day ") == "Ａ ﬁne\u00a0day"
    folded = trained(tmp_path, normalization="nmt_nfkc_cf", target_normalization="nfkc", vocab_size=320)
    assert folded.normalization == "nmt_nfkc_cf"
    assert folded.source.normalize("ＡÄ") == "aä"
    assert folded.target.normalize("ＡÄ") == "AÄ"


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


def test_a_folder_without_a_tokenizer_is_an_artifact_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: missing, so this is no tokenizer \(train it again\)"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', '{"format": 1, "files": 3, "normalization": ""}'])
def test_a_damaged_card_is_an_artifact_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: damaged"):
        Tokenizer.load(tmp_path)


def test_a_card_of_another_format_is_an_artifact_error(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"format": 4}')
    message = r": a tokenizer of format 4; this nmt \S+ reads formats 1 to 3 \(use the nmt that wrote it\)"
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
        SentencePieceModel.load(path)
    path.write_bytes(b"no model")
    with pytest.raises(ArtifactError, match=r"some\.model: not a SentencePiece model, or a damaged one"):
        SentencePieceModel.load(path)


def test_a_model_with_other_special_ids_is_an_artifact_error(tmp_path: Path) -> None:
    import sentencepiece

    path = tmp_path / "foreign.model"
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(SOURCES), model_writer=file, vocab_size=26, minloglevel=2
        )
    with pytest.raises(ArtifactError, match=r"its ids of <pad>, .* are \(-1, 0, 1, 2\), not \(0, 1, 2, 3\)"):
        SentencePieceModel.load(path)


def test_random_ids_decode_to_one_line_each(tokenizer: Tokenizer) -> None:
    rng = random.Random(1)
    for _ in range(300):
        [line] = tokenizer.target.decode([[rng.randrange(330) for _ in range(30)]])
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


@pytest.mark.parametrize(
    "damage",
    [
        {"tags": 3}, {"tags": [""]}, {"tags": ["\u200b"]}, {"tags": ["a\nb"]}, {"tags": [[]]}, {"tags": ["<2xx>"]},
        {"placeholders": "many"}, {"placeholders": 10**9}, {"placeholders": -1}, {"placeholders": 1.0},
        {"placeholders": 1}, {"user_defined_symbols": ["nowhere"]}, {"user_defined_symbols": [None]},
        {"source": 5}, {"source": None}, {"normalization": ["nfc"]}, {"files": []}, {"format": 1},
    ],
)  # fmt: skip
def test_a_card_that_its_models_do_not_bear_out_is_an_artifact_error(
    tmp_path: Path, folder: Path, damage: dict[str, Any]
) -> None:
    card = json.loads((folder / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.model").write_bytes((folder / "tokenizer.model").read_bytes())
    (tmp_path / "tokenizer.json").write_text(json.dumps(card))
    Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps(card | damage))
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: damaged: ."):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("name", ["../tokenizer.model", "/etc/hostname", "", ".", "a/tokenizer.model"])
def test_a_model_lies_beside_its_card(tmp_path: Path, folder: Path, name: str) -> None:
    card = json.loads((folder / "tokenizer.json").read_text())
    content = (folder / "tokenizer.model").read_bytes()
    (tmp_path / "tokenizer.model").write_bytes(content)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "tokenizer.json").write_text(
        json.dumps({**card, "source": name, "files": {name: digest(content)}})
    )
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: "):
        Tokenizer.load(tmp_path / "in")


def test_pieces_that_are_not_utf8_are_damage(tmp_path: Path, folder: Path) -> None:
    content = (folder / "tokenizer.model").read_bytes()
    piece = "\u2581the".encode()
    assert piece in content
    (tmp_path / "x.model").write_bytes(content.replace(piece, b"\xff" * len(piece)))
    with pytest.raises(ArtifactError, match=r"x\.model: not a SentencePiece model, or a damaged one"):
        SentencePieceModel.load(tmp_path / "x.model")


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_text_that_spells_a_symbol_is_text(tmp_path: Path, model_type: str) -> None:
    config = settings(
        model_type=model_type, vocab_size=500, hard_vocab_limit=False, placeholders=2, user_defined_symbols=["<b>"]
    )
    train([*SOURCES, "2 < b > d e 1"], TARGETS, config, tmp_path, seed=1, tags=["<2de>"])
    sides = Tokenizer.load(tmp_path)
    line = "<2de> the ＜2de＞ <2de> ＜ｂ＞<b> ⟦１⟧ cat⟦1⟧"
    [ids] = sides.source.encode([line])
    pieces = sides.source.pieces(ids)
    assert [piece for piece in pieces if piece in ("<2de>", "<b>", "⟦0⟧", "⟦1⟧")] == ["<2de>", "<b>", "⟦1⟧"]
    assert sides.source.decode([ids]) == ["<2de> the <2de> <2de> <b><b> ⟦1⟧ cat⟦1⟧"] == [sides.source.normalize(line)]
    assert sides.source.decode([sides.source.sample(line, 0.2, 1)]) == sides.source.decode([ids])
    assert "<2de>" not in sides.source.pieces(sides.source.encode(["<2de> cat"], tagged=False)[0])
    [ids] = sides.target.encode(["<2de>  Katze <2de>  ＜ｂ＞ "])
    assert "<2de>" not in sides.target.pieces(ids)
    assert sides.target.decode([ids]) == ["<2de> Katze <2de> ＜ｂ＞"]


def test_sides_of_one_model_have_their_own_normal_forms(tmp_path: Path) -> None:
    marks = ["Wer，sieht！1½ m²\u202f? می\u200cخواهم"] * 4
    train([*SOURCES, "1,2 ! a"], [*TARGETS, *marks], settings(vocab_size=380), tmp_path, seed=1)
    sides = Tokenizer.load(tmp_path)
    assert sides.joint
    assert sides.target.decode(sides.target.encode(marks[:1])) == marks[:1]
    assert sides.source.decode(sides.source.encode(["a，b！"])) == ["a,b!"]
    assert {"，", "！"} <= set(sides.target.encode_pieces(marks[:1])[0])
    card = json.loads((tmp_path / "tokenizer.json").read_text())
    assert (card["format"], card["normalization"], card["target_normalization"]) == (2, "nmt_nfkc", "nfc")


def test_without_a_normal_form_of_the_target_the_rule_lies_in_the_models_as_before(tmp_path: Path) -> None:
    sides = trained(tmp_path, target_normalization=None)
    card = json.loads((tmp_path / "tokenizer.json").read_text())
    assert card["format"] == 1
    assert "target_normalization" not in card
    assert sides.target.normalize("Ｗer，e\u0302\u0323 a\u00adb") == "Wer,\xea\u0323 a\u00adb"
    assert sides.target.form is None


def test_format_1_encodes_as_it_did(tmp_path: Path) -> None:
    folder, record = unpack_format_1(tmp_path)
    sides = Tokenizer.load(folder)
    assert sides.source.encode(record["lines"]) == record["source"]
    assert sides.target.encode(record["lines"]) == record["target"]
    assert [sides.source.sample(line, 0.3, 7) for line in record["lines"]] == record["sampled"]


@pytest.mark.parametrize(
    "damage", [{"target_normalization": "nfq"}, {"normalization": "nfq"}, {"target_normalization": None}]
)
def test_an_unknown_rule_is_an_artifact_error(tmp_path: Path, folder: Path, damage: dict[str, Any]) -> None:
    card = json.loads((folder / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps(card | damage))
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: damaged"):
        Tokenizer.load(tmp_path)


TREES = ["(S (NP (DT the) (NN cat)) (VP (VBD saw)))", "(S (NP (NNP Ben)) (VP (VBD sat)) (. .))"] * 8


@pytest.fixture(scope="module")
def of_trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trees")
    config = settings(trees=True, normalization="nfc", masks=2, hard_vocab_limit=False)
    train(["the cat saw", "Ben sat ."] * 8, TREES, config, folder, seed=1)
    return folder


def test_the_symbols_of_trees_are_pieces_of_targets_that_no_text_has(of_trees: Path) -> None:
    tokenizer = Tokenizer.load(of_trees)
    side, trees = tokenizer.target, tokenizer.target.trees
    assert trees is not None
    named = ["<(NP>", "<(S>", "<(VP>", "<)>", "<./>", "<DT/>", "<NN/>", "<NNP/>", "<VBD/>"]
    assert side.pieces(range(trees.first, trees.last + 1)) == named
    assert trees.first == 6
    lines = ["(S (NP (NNP Zo\xeb)) (VP (VBD f-LRB-x-RRB-)))", TREES[0]]
    rows = side.encode(lines)
    assert side.decode(rows) == lines
    assert side.decode_pieces([side.pieces(row) for row in rows]) == lines
    assert [side.normalize(line) for line in lines] == lines
    assert side.sample(lines[0], 0.5, 1) == rows[0]
    assert tokenizer.joint
    assert tokenizer.source.trees is None
    assert json.loads((of_trees / "tokenizer.json").read_text(encoding="utf-8"))["format"] == 3
    text = "(S <(S> the <)>"
    assert not {*tokenizer.source.encode([text])[0]} & {*range(trees.first, trees.last + 1)}
    assert tokenizer.source.decode(tokenizer.source.encode([text])) == [text]


@pytest.mark.parametrize(
    ("trees", "message"),
    [
        ({"labels": ["NP"]}, "trees has labels and tags"),
        ({"labels": ["NP", "S", "VP"], "tags": ["NN"]}, "'<NN/>' is no piece of tokenizer.model"),
        ({"labels": [1], "tags": []}, "trees.labels.0: "),
    ],
)
def test_a_card_with_other_symbols_is_damaged(of_trees: Path, tmp_path: Path, trees: object, message: str) -> None:
    card = json.loads((of_trees / "tokenizer.json").read_text(encoding="utf-8"))
    (tmp_path / "tokenizer.model").write_bytes((of_trees / "tokenizer.model").read_bytes())
    (tmp_path / "tokenizer.json").write_text(json.dumps({**card, "trees": trees}), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: damaged: ") as caught:
        Tokenizer.load(tmp_path)
    assert message in str(caught.value)
