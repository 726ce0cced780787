"""`nmt import`, and all that is done with a bundle with the one that it makes."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import TINY, Run, tree
from model_hub import COMMIT, model_hub

from nmt.files import read_json

pytest.importorskip("transformers")
from marians import TAGS, save_marian

NAME = "Org/opus-mt-en-de"
LINES = b"The old woman sees a dog.\n\n>>nds<< A small dog sleeps.\ncaf\xc3\xa9 \xe4\xb8\xad x\n"
MODEL = """\
d_model = 16
heads = 4
ffn = 24
activation = "silu"
encoder_layers = 2
decoder_layers = 1
output_bias = true
max_length = 96
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in Hugging Face's layout. Shared: never change it."""
    return save_marian(tmp_path_factory.mktemp("marian") / "saved", tags=True)


@pytest.fixture(scope="module")
def made(folder: Path, nmt: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of the model as the Hub has it. Shared: never change it."""
    home = tmp_path_factory.mktemp("imported")
    (home / "sample.en").write_bytes(LINES)
    with model_hub(NAME, folder) as hub:
        places = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home / "hf")}
        said = nmt("import", NAME, "-o", "model", "--sample", "sample.en", cwd=home, env=places)
    assert said.code == 0, said.err
    assert said.messages[:2] == [
        f"import: fetching {NAME} at {COMMIT}",
        f"import: {NAME} (revision {COMMIT}, licence cc-by-4.0), en to de",
    ]
    assert said.messages[2].startswith("import: tokenizer: the ids of transformers on ")
    assert said.messages[-1] == "import: written to model"
    assert (said.out, len(said.messages)) == ("", 10)
    wanted = ["README.md", "config.json", "generation_config.json", "model.safetensors", "source.spm", "target.spm"]
    assert sorted(hub.sent) == [*wanted, "tokenizer_config.json", "vocab.json"]
    return home / "model"


def test_the_lock_says_where_it_came_from(made: Path, nmt_here: Run) -> None:
    imported = read_json(made / "lock.json")["imported"]
    assert (imported["origin"], imported["revision"], imported["licence"]) == (NAME, COMMIT, "cc-by-4.0")
    said = nmt_here("run", made / "lock.json")
    assert (said.code, said.err) == (
        4,
        f"nmt: {made / 'lock.json'}: not the lock of a run (a model that was imported has no run)\n",
    )
    facts = json.loads(nmt_here("inspect", "model", made, "--json").out)
    assert (facts["training"], facts["imported"], facts["tokenizer"]["tags"]) == (None, imported, TAGS)
    assert nmt_here("inspect", "model", made).code == 0
    shown = nmt_here("tokenizer", "show", made)
    assert shown.lines[-1] == "normalisation: nmt_nfkc"


def test_it_translates_scores_and_is_evaluated(made: Path, tmp_path: Path, nmt_here: Run) -> None:
    said = nmt_here("translate", made, "--format", "jsonl", stdin=LINES)
    best = [json.loads(line)["hypotheses"][0] for line in said.lines]
    assert len(best) == 4
    (tmp_path / "source").write_bytes(LINES)
    (tmp_path / "target").write_text("".join(f"{one['text']}\n" for one in best), encoding="utf-8")
    sides = ("--source", tmp_path / "source", "--target", tmp_path / "target")
    scores = [float(line) for line in nmt_here("score", made, *sides).lines]
    assert len(scores) == 4
    assert nmt_here("evaluate", made, *sides[:2], "--reference", tmp_path / "target").code == 0
    for precision in ("bfloat16", "float32"):
        assert nmt_here("translate", made, "--precision", precision, stdin=LINES).code == 0


def test_it_is_exported_and_the_export_translates_as_it(made: Path, tmp_path: Path, nmt_here: Run) -> None:
    pytest.importorskip("ctranslate2")
    bundle = shutil.copytree(made, tmp_path / "model")
    said = nmt_here("export", bundle, "--to", "ctranslate2")
    assert said.code == 0, said.err
    assert all(" splits 0 of " in line for line in said.messages[3:5]), said.err
    own, other = (nmt_here("translate", bundle, *more, stdin=LINES) for more in ([], ["--engine", "ctranslate2"]))
    assert own == other
    assert own.code == 0


def test_tags_outside_its_sentencepiece_model_are_not_for_argos(made: Path, tmp_path: Path, nmt_here: Run) -> None:
    pytest.importorskip("ctranslate2")
    pytest.importorskip("onnx")
    said = nmt_here("export", made, "--to", "argos", "-o", tmp_path / "x.argosmodel")
    assert (said.code, said.out, said.err) == (
        2,
        "",
        f"nmt: {made}: its tags, >>deu<< >>nds<<, are outside its SentencePiece model, and Argos Translate has no "
        "place for them (take --to ctranslate2, or nmt serve)\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_it_is_fine_tuned_on_other_text_and_resumed(made: Path, tmp_path: Path, nmt_here: Run) -> None:
    before, after = TINY.partition("[model]\n")[::2]
    recipe = f"{before}[model]\n{MODEL}\n{after[after.index('[batching]') :]}".replace("pairs = 800", "pairs = 60")
    recipe = recipe.replace("vocab_size = 400", "vocab_size = 400\nsampling = 0.1").replace("= 62", "= 90")
    (tmp_path / "own.toml").write_text(recipe.replace("pairs = 20", "pairs = 4"), encoding="utf-8")
    steps = [
        f"--set=training.{key}={value}"
        for key, value in {"checkpoint_every": 1, "validate_every": 2, "average_checkpoints": 1}.items()
    ]
    for count in (1, 2):
        said = nmt_here(
            "run", "own.toml", "--init-from", made, *steps, f"--set=training.max_steps={count}", cwd=tmp_path
        )
        assert said.code == 0, said.err
    model = tmp_path / "runs" / "tiny" / "model"
    assert (model / "vocabulary.json").read_bytes() == (made / "vocabulary.json").read_bytes()
    assert "imported" not in read_json(model / "lock.json")
    assert len(nmt_here("translate", model, stdin=LINES).lines) == 4
    said = nmt_here("train", "own.toml", "--init-from", made, "--set=model.output_bias=false", cwd=tmp_path, stdin=b"")
    assert said.code != 0
    assert len(said.messages) == 1


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--revision", "v1"], 2, "--revision is for a model of the Hub, and {} is none (leave it out)"),
        (
            [],
            4,
            "{}/config.json: model_type = 't5', not 'marian' (the layout is that of Helsinki-NLP's opus-mt models)",
        ),
    ],
)
def test_what_cannot_be_imported_is_one_line(
    options: list[str], code: int, message: str, folder: Path, tmp_path: Path, nmt_here: Run
) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "config.json").write_text('{"model_type": "t5"}', encoding="utf-8")
    before = tree(tmp_path)
    said = nmt_here("import", other, "-o", tmp_path / "model", *options)
    assert (said.code, said.out, said.err) == (code, "", f"nmt: {message.format(other)}\n")
    assert tree(tmp_path) == before
