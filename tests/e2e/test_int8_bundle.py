"""`nmt export --to int8`, and the commands that take what it writes."""

import json
from pathlib import Path

import pytest
from conftest import TINY, Run, tree
from precisions import in_int8

from nmt.tasks.grammar import generate

pytestmark = in_int8
PAIRS = list(generate("test", 20, 5))
TEXT = "".join(f"{source}\n" for source, _ in PAIRS).encode()


def test_the_command_says_how_the_bundle_agrees_and_where_it_lies(
    tiny_model: Path, tmp_path: Path, nmt_here: Run
) -> None:
    before, sample, small = tree(tiny_model), tmp_path / "sample.en", tmp_path / "new" / "small"
    sample.write_bytes(TEXT)
    said = nmt_here("export", tiny_model, "--to", "int8", "-o", small, "--sample", sample)
    assert (said.code, said.out, len(said.messages)) == (0, "", 4)
    for message, search in zip(said.messages, ("beam 1", "beam 5", "own settings"), strict=False):
        assert message.startswith(f"export: {search}: ")
        assert " lines differ from the native engine's in float32, " in message
    assert said.messages[-1] == f"export: written to {small}"
    assert tree(tiny_model) == before
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["small"]

    again = nmt_here("export", tiny_model, "--to", "int8", "-o", small)
    assert again == (2, "", f"nmt: {small}: is there already (name a new or an empty folder)\n")
    again = nmt_here("export", small, "--to", "int8", "-o", tmp_path / "smaller")
    needed = "its weights are in int8, and float32 ones are needed (take the bundle that it was made from)"
    assert again == (2, "", f"nmt: {small}: {needed}\n")
    again = nmt_here("translate", small, "--engine", "ctranslate2", stdin=TEXT)
    assert again == (2, "", f"nmt: {small}: {needed}\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "int8"], "--to int8 writes a new bundle (say where: -o FOLDER)"),
        (
            ["--to", "int8", "-o", "x", "--name", "y"],
            "--name is for --to ctranslate2 (leave it out; -o says where)",
        ),
        (
            ["--to", "int8", "-o", "x", "--quantization", "int8"],
            "--quantization is for --to ctranslate2 and argos (leave it out)",
        ),
        (
            ["--to", "ctranslate2", "-o", "x"],
            "-o is not for --to ctranslate2 (an export for ctranslate2 lies in MODEL; --name names it)",
        ),
    ],
)
def test_options_that_do_not_go_together_are_one_line(
    tiny_model: Path, tmp_path: Path, nmt_here: Run, options: list[str], message: str
) -> None:
    assert nmt_here("export", tiny_model, *options, cwd=tmp_path) == (2, "", f"nmt: {message}\n")
    assert list(tmp_path.iterdir()) == []


def test_every_command_takes_it_and_computes_in_int8(
    tiny_model: Path, int8_model: Path, tmp_path: Path, nmt_here: Run
) -> None:
    source, reference = tmp_path / "test.en", tmp_path / "test.de"
    source.write_bytes(TEXT)
    reference.write_text("".join(f"{target}\n" for _, target in PAIRS), encoding="utf-8")
    commands: dict[str, list[str | Path]] = {
        "translate": ["--format", "tsv"],
        "score": ["--source", source, "--target", reference],
        "evaluate": ["--source", source, "--reference", reference, "--json"],
    }
    for name, options in commands.items():
        own, of_int8 = (
            nmt_here(name, model, *options, "--device", "cpu", stdin=TEXT) for model in (tiny_model, int8_model)
        )
        assert nmt_here(name, tiny_model, *options, "--precision", "int8", "--device", "cpu", stdin=TEXT) == of_int8
        assert of_int8.code == 0
        assert of_int8.out != own.out
    pieces = nmt_here("tokenizer", "encode", int8_model, stdin=TEXT)
    assert pieces == nmt_here("tokenizer", "encode", tiny_model, stdin=TEXT)


SAME_DEV_AND_TEST = (
    TINY.replace('builtin = "dev"\npairs = 10', 'builtin = "test"\npairs = 20')
    .replace("max_steps = 200", "max_steps = 30")
    .replace("checkpoint_every = 50", "checkpoint_every = 30")
    .replace("validate_every = 100", "validate_every = 30")
    .replace("average_checkpoints = 2", "average_checkpoints = 1")
    + '[decoding]\nprecision = "int8"\n'
)


def test_a_recipe_in_int8_is_validated_and_scored_as_the_bundle_translates(nmt_here: Run, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(SAME_DEV_AND_TEST, encoding="utf-8")
    said = nmt_here("run", "tiny.toml", cwd=tmp_path)
    assert said.code == 0, said.err
    run = tmp_path / "runs" / "tiny"
    log = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    scores = json.loads((run / "evaluation" / "scores.json").read_text(encoding="utf-8"))["test"]
    (dev,) = [line for line in log if line["kind"] == "dev"]
    assert (dev["bleu"], dev["chrf"]) == (scores["bleu"]["score"], scores["chrf"]["score"])
    source = "".join(f"{line}\n" for line, _ in generate("test", 20, 1)).encode()
    own, in_int8, whole = (
        nmt_here("translate", run / "model", *options, stdin=source)
        for options in ([], ["--precision", "int8"], ["--precision", "float32"])
    )
    assert own.out.encode() == (run / "evaluation" / "test.de").read_bytes()
    assert own == in_int8
    assert own.out != whole.out


def test_a_file_cut_short_ends_in_one_line_and_exit_code_4(int8_model: Path, tmp_path: Path, nmt_here: Run) -> None:
    for name, content in tree(int8_model).items():
        (tmp_path / name).write_bytes(content[:-1] if name == "model.safetensors" else content)
    said = nmt_here("translate", tmp_path, stdin=TEXT)
    assert said == (
        4,
        "",
        f"nmt: {tmp_path / 'model.safetensors'}: damaged: its SHA-256 is not the one in config.json (copy the bundle "
        "again, or make it again with `nmt run`)\n",
    )


def test_training_does_not_start_from_it(int8_model: Path, tmp_path: Path, nmt_here: Run) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY, encoding="utf-8")
    said = nmt_here("train", recipe, "--init-from", int8_model, cwd=tmp_path)
    assert (said.code, said.out) == (2, "")
    needed = "its weights are in int8, and float32 ones are needed (take the bundle that it was made from)"
    assert said.messages == [f"nmt: {int8_model}: {needed}"]
    assert json.loads((int8_model / "config.json").read_text(encoding="utf-8"))["format"] == 2
