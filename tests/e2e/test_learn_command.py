"""`nmt learn` as a user types it, on the example of its page."""

import json
import re
from pathlib import Path

from conftest import ROOT, Run, TinyRun

PAGE = (ROOT / "docs" / "corrections.md").read_text(encoding="utf-8")
COMMAND, EXAMPLE = re.findall(r"```\n(.*?)```", PAGE, flags=re.S)[:2]


def test_the_example_of_the_page_is_learned(nmt_here: Run, tiny: TinyRun, tmp_path: Path) -> None:
    path, output = tmp_path / "corrections.tsv", tmp_path / "corrected"
    path.write_text(EXAMPLE, encoding="utf-8")
    words = COMMAND.split()
    assert words[0] == "nmt"
    places = {"runs/mine/model": tiny.model, "corrections.tsv": path, "corrected": output}
    said = nmt_here(*(places.get(word, word) for word in words[1:]), "--bound", "100", "--epochs", "2")
    assert said.code == 0, said.err
    assert re.search(r"corrections\s+right, of 2\s+\d\s+\d", said.out)
    assert re.search(r"general\s+BLEU\s+[\d.]+\s+[\d.]+\s+nrefs:1", said.out)
    assert said.messages[-1].startswith(f"learn: written to {output} in ")
    assert nmt_here("translate", output, stdin=b"a line\n").code == 0


def test_scores_are_printed_for_programs(nmt_here: Run, tiny: TinyRun, tmp_path: Path) -> None:
    path = tmp_path / "c.tsv"
    path.write_text(EXAMPLE, encoding="utf-8")
    options: list[str | Path] = ["-o", tmp_path / "new", "--bound", "100", "--epochs", "1", "--json"]
    said = nmt_here("learn", tiny.model, path, *options)
    facts = json.loads(said.out)
    assert facts["corrections"] == 2
    assert facts["after"] == json.loads((tmp_path / "new" / "scores.json").read_text(encoding="utf-8"))
    again = nmt_here("learn", tiny.model, path, *options)
    assert (again.code, again.messages) == (
        2,
        [f"nmt: {tmp_path / 'new'}: is there already (name a new or an empty folder)"],
    )


def test_a_model_that_cannot_learn_is_refused(nmt_here: Run, tmp_path: Path) -> None:
    path = tmp_path / "c.tsv"
    path.write_text(EXAMPLE, encoding="utf-8")
    said = nmt_here("learn", tmp_path / "none", path, "-o", tmp_path / "new")
    assert (said.code, len(said.messages)) == (4, 1)
    assert not (tmp_path / "new").exists()
