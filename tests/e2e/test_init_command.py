"""`nmt init`: from files to a recipe that the other commands take, or one line that says why not."""

import gzip
import json
import tomllib
from pathlib import Path

import pytest
from conftest import Run

from nmt.tasks.grammar import generate
from nmt.training import profiling

PAIRS = list(generate("train", 400, 1))
DEV = list(generate("dev", 10, 1))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make a folder with a small corpus."""
    write_sides(tmp_path, "a", PAIRS)
    write_sides(tmp_path, "dev", DEV)
    return tmp_path


def write_sides(folder: Path, name: str, pairs: list[tuple[str, str]]) -> None:
    for index, code in enumerate(("en", "de")):
        (folder / f"{name}.{code}").write_text("".join(pair[index] + "\n" for pair in pairs), encoding="utf-8")


def refused(nmt: Run, home: Path, *arguments: str) -> tuple[int, str]:
    """Return the exit code and the one line of an init that leaves nothing behind."""
    before = sorted(home.rglob("*"))
    said = nmt("init", *arguments, cwd=home)
    assert said.out == ""
    assert sorted(home.rglob("*")) == before
    lines = [line for line in said.messages if not line.startswith("nmt: warning: ")]
    assert len(lines) == 1, said.err
    return said.code, lines[0]


@pytest.mark.parametrize("given", [[], ["--dev", "dev.en", "dev.de", "--test", "dev.en", "dev.de"]])
def test_doctor_and_train_accept_what_init_writes(
    nmt_here: Run, home: Path, given: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiling, "SECONDS", 0.2)
    monkeypatch.setattr(profiling, "MAX_MICRO_BATCHES", 2)
    said = nmt_here("init", "en", "de", "--train", "a.en", "a.de", *given, "-o", "my recipe.toml", cwd=home)
    assert said.code == 0, said.err
    assert said.messages == [
        "nmt: warning: 400 pairs are few: a model from scratch will translate badly; fine-tune one of these languages "
        "with --init-from MODEL, such as a public one: nmt import Helsinki-NLP/opus-mt-en-de -o MODEL"
    ]
    assert said.lines[0] == "found: 400 training pairs"
    assert said.lines[1].startswith("found: en: about 4,800 words, 11.9 a line; 99.9% of the lines up to ")
    assert said.lines[1].endswith(" characters; LATIN 100%")
    assert said.lines[4].startswith(
        'chosen: tokenizer.vocab_size = 1000, tokenizer.joint = true, model.preset = "small", '
    )
    assert said.lines[5:] == [
        "wrote my recipe.toml; its comments give the reasons",
        "next: nmt doctor 'my recipe.toml'",
        "then: nmt run 'my recipe.toml'",
    ]
    assert tomllib.loads((home / "my recipe.toml").read_text(encoding="utf-8"))["name"] == "my-recipe"
    examined = nmt_here("doctor", "my recipe.toml", cwd=home)
    assert examined.code == 0, examined.out
    assert "error" not in {line.split()[0] for line in examined.lines}
    small = ["--set", "training.max_steps=3", "--set", "decoding.beam_size=1", "--set", "decoding.max_extra_length=0"]
    trained = nmt_here("train", "my recipe.toml", *small, cwd=home)
    assert trained.code == 0, trained.err
    assert (home / "runs" / "my-recipe" / "model").is_dir()


def test_several_corpora_of_any_kind_are_sections_of_their_own(nmt_here: Run, home: Path) -> None:
    other = list(generate("unseen", 30, 1))
    (home / "b.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in other), encoding="utf-8")
    objects = [json.dumps({"en": source, "de": target}) + "\n" for source, target in other]
    (home / "c.jsonl.gz").write_bytes(gzip.compress("".join(objects).encode()))
    files = ["--train", "a.en", "b.tsv", "a.de", "c.jsonl.gz", "--test", "dev.en", "dev.de", "b.tsv"]
    assert nmt_here("init", "en", "de", *files, "sacrebleu:wmt14/full:en-de", cwd=home).code == 0
    recipe = tomllib.loads((home / "en-de.toml").read_text(encoding="utf-8"))
    assert recipe["data"] == {
        "dev_pairs": 23,
        "temperature": 1.5,
        "train": {
            "b": {"files": "b.tsv"},
            "c": {"files": "c.jsonl.gz"},
            "a": {"source": "a.en", "target": "a.de"},
        },
        "test": {
            "b": {"files": "b.tsv"},
            "wmt14-full": {"files": "sacrebleu:wmt14/full:en-de"},
            "dev": {"source": "dev.en", "target": "dev.de"},
        },
    }


def test_a_recipe_elsewhere_has_absolute_names(nmt_here: Run, home: Path) -> None:
    said = nmt_here("init", "en", "de", "--train", "a.en", "a.de", "-o", "recipes/x.toml", "--name", "mine", cwd=home)
    assert said.code == 0
    recipe = tomllib.loads((home / "recipes" / "x.toml").read_text(encoding="utf-8"))
    assert recipe["name"] == "mine"
    assert recipe["data"]["train"] == {"source": str(home / "a.en"), "target": str(home / "a.de")}


def test_the_same_data_give_the_same_recipe(nmt_here: Run, home: Path) -> None:
    texts = []
    for _ in range(2):
        nmt_here("init", "en", "de", "--train", "a.en", "a.de", "--force", cwd=home)
        texts.append((home / "en-de.toml").read_bytes())
    assert texts[0] == texts[1]
    assert [path.name for path in home.iterdir() if path.name.startswith(".")] == []


def test_a_recipe_is_not_overwritten_unless_asked(nmt_here: Run, home: Path) -> None:
    files = ("en", "de", "--train", "a.en", "a.de")
    (home / "en-de.toml").write_text("mine", encoding="utf-8")
    message = "nmt: en-de.toml: there is one already (--force overwrites it, -o takes another name)"
    assert refused(nmt_here, home, *files) == (2, message)
    assert (home / "en-de.toml").read_text(encoding="utf-8") == "mine"
    assert nmt_here("init", *files, "--force", cwd=home).code == 0
    (home / "folder").mkdir()
    message = "nmt: folder: a folder (-o takes the name of a file)"
    assert refused(nmt_here, home, *files, "-o", "folder", "--force") == (2, message)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["en", "de", "--train", "no.en", "a.de"], 3, "no.en: no such file (nor no.en.gz)"),
        (["en", "de", "--train", "a.en"], 2, "--train: a.en: no file of de with it (name a.de too)"),
        (["en", "en", "--train", "a.en"], 2, "the source and the target language are both en (nmt init SRC TGT --tra"),
        (["en", "de"], 2, "init takes SRC, TGT and --train FILE, or --table FILE"),
        (["--train", "a.en", "a.de"], 2, "init takes SRC, TGT and --train FILE, or --table FILE"),
        (["en", "de", "--table", "a.en"], 2, "--table has the languages and all files (leave out SRC, TGT, --train, "),
        (["--table", "a.en"], 3, "a.en: no column source (the first row names the columns, with TAB between: source, "),
        (["en", "de", "--train", "a.en", "dev.de"], 3, "a.en has 400 lines but dev.de has 10 (the two files of a corp"),
        (["en", "de", "--train", "a.en", "a.de", "--dev", "a.en", "dev.de"], 3, "a.en has 400 lines but dev.de has 10"),
        (
            ["en", "de", "--train", "dev.en", "dev.de"],
            3,
            "dev.en, dev.de: 10 pairs with text are too few to learn from (at least 200 are needed, and some ten "
            "thousand for a useful model)",
        ),
        (
            ["en", "de", "--train", "a.en", "a.de", "--name", "a b"],
            2,
            "--name a b: a name has letters, digits, '.', '_' and '-', and begins with one of the first",
        ),
        (
            ["en", "de", "--train", "a.en", "a.de", "--test", "sacrebleu:nosuch"],
            3,
            "sacrebleu:nosuch: sacreBLEU has no",
        ),
        (["en", "fr", "--train", "m.tmx"], 3, "m.tmx: no unit has the language 'fr'; it has "),
        (["en", "de", "--train", "a.en", "a.de", "-o", "a.en/x.toml"], 4, ""),
    ],
)
def test_what_cannot_be_is_one_line(nmt_here: Run, home: Path, arguments: list[str], code: int, message: str) -> None:
    (home / "m.tmx").write_text(
        '<tmx version="1.4"><body><tu><tuv xml:lang="en"><seg>a</seg></tuv><tuv xml:lang="de"><seg>b</seg></tuv></tu>'
        "</body></tmx>",
        encoding="utf-8",
    )
    found, line = refused(nmt_here, home, *arguments)
    assert (found, line.startswith(f"nmt: {message}")) == (code, True), line


def test_a_language_that_this_machine_cannot_score_is_said(
    nmt_here: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nmt.errors import UsageError

    def missing(tokenize: str, language: str) -> str:
        raise UsageError("no tokenizer", hint=f"of {tokenize} for {language}")

    monkeypatch.setattr("nmt.advice.recipe_writer.resolve_tokenizer", missing)
    said = nmt_here("init", "en", "de", "--train", "a.en", "a.de", cwd=home)
    assert said.messages[-1] == "nmt: warning: this machine cannot score de yet: no tokenizer (of auto for de)"


def test_what_is_odd_in_the_files_is_counted(nmt_here: Run, home: Path) -> None:
    (home / "a.en").write_bytes(b"\xef\xbb\xbf" + (home / "a.en").read_bytes())
    said = nmt_here("init", "en", "de", "--train", "a.en", "a.de", cwd=home)
    assert said.messages[0] == "found in the files: byte-order marks 1"
