"""`nmt export --to huggingface`, and transformers with what it wrote."""

import shutil
from pathlib import Path

import pytest
from conftest import Run, tree

pytest.importorskip("transformers")

LINES = "A small dog sleeps.\nＡ woman，\u00a0a dog.\nDo nine women talk?\n"


def test_transformers_loads_the_export_and_translates_as_nmt(tiny_model: Path, tmp_path: Path, nmt_here: Run) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer  # which takes seconds

    folder, sample = tmp_path / "made", tmp_path / "sample"
    sample.write_text(LINES, encoding="utf-8")
    said = nmt_here("export", tiny_model, "--to", "huggingface", "-o", folder, "--sample", sample)
    assert (said.code, said.out, len(said.messages)) == (0, "", 6)
    for message, search in zip(said.messages, ("beam 1", "beam 5"), strict=False):
        assert message.startswith(f"export: {search}: 0 of 3 lines differ from the native engine's in float32, 0 ties;")
    assert said.messages[2].startswith("export: own settings: ")
    assert said.messages[3].startswith("export: the tokenizer gives all 3 lines the same ids, and 0 of ")
    assert said.messages[4].startswith(
        "export: with its own settings transformers searches by another length penalty, "
    )
    assert said.messages[5] == f"export: written to {folder}"

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder)
    batch = tokenizer(LINES.splitlines(), padding=True, return_tensors="pt")
    written = model.generate(**batch, num_beams=3, length_penalty=0.0)
    found = tokenizer.batch_decode(written, skip_special_tokens=True)
    own = nmt_here("translate", tiny_model, "--beam-size", "3", "--length-penalty", "0", stdin=LINES.encode())
    assert found == own.lines
    assert len(set(found)) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "huggingface", "--quantization", "int8"], "--quantization"),
        (["--to", "ctranslate2", "--push", "me/mine"], "--push is for --to huggingface (leave it out)\n"),
        (["--to", "huggingface", "--push", "mine"], "--push mine: not OWNER/NAME\n"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(
    tiny_model: Path, nmt_here: Run, options: list[str], message: str
) -> None:
    before = tree(tiny_model)
    said = nmt_here("export", tiny_model, *options)
    assert (said.code, said.out, len(said.messages)) == (2, "", 1)
    assert said.err.startswith(f"nmt: {message}")
    assert tree(tiny_model) == before


def test_an_export_in_the_bundle_is_none_for_ctranslate2(tiny_model: Path, tmp_path: Path, nmt_here: Run) -> None:
    bundle = shutil.copytree(tiny_model, tmp_path / "model")
    folder = bundle / "exports" / "huggingface"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"engine": "huggingface"}', encoding="utf-8")
    said = nmt_here("translate", bundle, "--engine", "ctranslate2", stdin=b"a\n")
    make = f"nmt export {bundle} --to ctranslate2"
    assert said.err == f"nmt: {bundle}: holds no export for the engine ctranslate2 (make one: {make})\n"
