"""From TOML to the recipe tree and back, and every message on the way."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from nmt.cli import LONGEST
from nmt.config.recipe import Recipe
from nmt.config.toml import (
    LIBRARY,
    Knob,
    check,
    check_overridden,
    explain,
    find_recipe,
    knobs,
    load_recipe,
    recipe_names,
    resolved_toml,
    to_toml,
)
from nmt.errors import RecipeError

MINIMAL = """\
name = "x"

[languages]
source = "en"
target = "de"

[data.train]
builtin = "train"
pairs = 10
"""
SHIPPED = sorted(path.stem for path in LIBRARY.glob("*.toml"))


def test_the_recipes_are_those_of_the_library() -> None:
    assert recipe_names() == sorted(path.stem for path in (ROOT / "recipes").glob("*.toml"))
    assert "demo" in recipe_names()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.toml"


def load(path: Path, text: str = "", *overrides: str) -> Recipe:
    path.write_text(MINIMAL + text, encoding="utf-8")
    return load_recipe(str(path), overrides).recipe


def message(path: Path, text: str = "", *overrides: str) -> str:
    """Return what is said of a recipe, without the name of its file where it comes first."""
    with pytest.raises(RecipeError) as caught:
        load(path, text, *overrides)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def test_the_only_corpus_is_named_as_a_recipe_writes_it(path: Path) -> None:
    said = message(path, "", "data.train.symbols=5")
    assert said == "--set data.train.symbols=5: data.train: symbols applies to task alone, and there is none"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[model]\nhead = 8", "unknown key model.head (did you mean 'heads'?)"),
        ("[modle]\nheads = 8", "unknown section modle (did you mean 'model'?)"),
        ("[model]\nqqqq = 8", "unknown key model.qqqq"),
        ("[data.dev]\nfils = 'x'\nfiles = 'x'", "unknown key data.dev.fils (did you mean 'files'?)"),
        ("[data.test.one]\nfils = 'x'\nfiles = 'x'", "unknown key data.test.one.fils (did you mean 'files'?)"),
        ("[data.test.source]\nfils = 'x'\nfiles = 'x'", "unknown key data.test.source.fils (did you mean 'files'?)"),
        ("[model]\nheads = '8'", "model.heads = '8': must be a valid integer"),
        ("[model]\nheads = true", "model.heads = True: must be a valid integer"),
        ("[data.dev]\nsource = 3\ntarget = 'x'", "data.dev.source = 3: must be a valid string"),
        ("[data.dev]\ndataset = 'x'\ncolumns = 1", "data.dev.columns = 1: must be a valid string"),
        (
            "[tokenizer]\nuser_defined_symbols = ['<a>', 1]",
            "tokenizer.user_defined_symbols.1 = 1: must be a valid string",
        ),
        ("[model]\ndropout = 1.0", "model.dropout = 1.0: must be less than 1"),
        ("[decoding]\nbeam_size = 0", "decoding.beam_size = 0: must be greater than 0"),
        ("[training]\nseed = 'none'", "training.seed = 'none': must be a valid integer"),
        ("[model]\nnorm = 'both'", "model.norm = 'both': must be 'post' or 'pre'"),
        ("[model]\npreset = 'huge'", "model.preset = 'huge': must be 'base', 'big', 'small' or 'tiny'"),
        ("[model]\nheads = 3", "model: heads = 3 must divide d_model = 512, or set head_width"),
        (
            "[data.dev]\nfiles = 'x'\ndataset = 'y'",
            "data.dev: give exactly one of source and target, files, trees, dataset, builtin, task; "
            "got files and dataset",
        ),
        ("[data.test.one]\nsource = 'x'", "data.test.one: source and target go together; one of them is missing"),
        (
            "[cleaning]\nmax_pieces = 256",
            "cleaning.max_pieces = 256 must be under model.max_length = 256: EOS takes one position",
        ),
        (
            "[data.test.'two words']\nfiles = 'x'",
            "data.test.two words = 'two words': string should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]*$'",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_with_the_key_and_the_nearest_right_one(text: str, expected: str, path: Path) -> None:
    assert message(path, f"\n{text}\n") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('name = "x"', "missing key languages"),
        (
            MINIMAL.replace("languages", "langauges"),
            "unknown section langauges (did you mean 'languages'?)",
        ),
        (MINIMAL.replace("target =", "taget ="), "unknown key languages.taget (did you mean 'target'?)"),
        (f"modle = 3\n{MINIMAL}", "unknown key modle (did you mean 'model'?)"),
        (MINIMAL.replace('name = "x"', ""), "missing key name"),
        (MINIMAL.replace('target = "de"', ""), "missing key languages.target"),
        (MINIMAL.replace('"x"', '"a/b"'), "name = 'a/b': string should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]*$'"),
        (f"model = 3\n{MINIMAL}", "model is a section, not 3"),
        (f"{MINIMAL}[languages]\n", "not valid TOML: Cannot declare ('languages',) twice (at line 10, column 11)"),
        ("name = \n", "not valid TOML: Invalid value (at line 1, column 8)"),
        ("name x\n", "not valid TOML: Expected '=' after a key in a key/value pair (at line 1, column 6)"),
    ],
)
def test_what_is_wrong_with_a_whole_recipe_is_one_line_with_its_file(text: str, expected: str, path: Path) -> None:
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(path))
    assert str(caught.value) == f"{path}: {expected}"


def test_a_recipe_that_is_not_utf_8_is_named(path: Path) -> None:
    path.write_bytes(b'name = "\xe9"')
    with pytest.raises(RecipeError, match=re.escape(f"{path}: not valid TOML: 'utf-8' codec can't decode byte 0xe9")):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.seed", "--set training.seed: not of the form section.key=value"),
        ("=3", "--set =3: not of the form section.key=value"),
        ("training.=3", "--set training.=3: not of the form section.key=value"),
        ("name.seed=3", "--set name.seed=3: name is not a section"),
        ("training.sed=3", "--set training.sed=3: unknown key training.sed (did you mean 'seed'?)"),
        ("training.seed=three", "--set training.seed=three: training.seed = 'three': must be a valid integer"),
        ("training.seed=", "--set training.seed=: training.seed = '': must be a valid integer"),
        ("model=3", "--set model=3: model is a section, not 3"),
        ("model.heads=3", "--set model.heads=3: model: heads = 3 must divide d_model = 512, or set head_width"),
        (
            "model.max_length=9",
            "--set model.max_length=9: cleaning.max_pieces = 250 must be under model.max_length = 9: "
            "EOS takes one position",
        ),
    ],
)
def test_a_wrong_override_is_one_line(override: str, expected: str, path: Path) -> None:
    assert message(path, "", override) == expected


def test_the_override_that_causes_an_error_is_named_and_none_for_an_error_of_the_file(path: Path) -> None:
    sound, wrong = "training.seed=2", "model.heads=3"
    message_of_the_file = "optimizer.epsilon = 'x': must be a valid number"
    assert message(path, "\n[optimizer]\nepsilon = 'x'\n", sound, "model.dropout=0.2") == message_of_the_file
    expected = "--set model.heads=3: model: heads = 3 must divide d_model = 512, or set head_width"
    assert message(path, "", sound, wrong) == message(path, "", wrong, sound) == expected
    assert message(path, "", "training.seed=x", "training.seed=y").startswith("--set training.seed=y: ")
    assert load(path, "\n[model]\nheads = 3\n", "model.heads=4").model.heads == 4


def test_overrides_take_values_as_in_toml_and_bare_words(path: Path) -> None:
    recipe = load(
        path,
        "\n[training]\nseed = 5\npatience = 3\n",
        "training.seed=2",
        "training.max_steps = 1_000",
        "optimizer.learning_rate=2e-3",
        "model.norm=pre",
        'model.tied_embeddings="target"',
        "tokenizer.joint=false",
        "tokenizer.user_defined_symbols=['<a>', '<b>']",
        "training.patience=none",
        "data.train={files = 'a=b.tsv'}",
        "data.test.one.files=some/file.tsv",
        "description=two words",
    )
    assert (recipe.training.seed, recipe.training.max_steps, recipe.training.patience) == (2, 1000, None)
    assert (recipe.optimizer.learning_rate, recipe.model.norm, recipe.model.tied_embeddings) == (2e-3, "pre", "target")
    assert recipe.tokenizer.joint is False
    assert recipe.tokenizer.user_defined_symbols == ["<a>", "<b>"]
    assert recipe.data.train["train"].files == "a=b.tsv"
    assert recipe.data.test["one"].files == "some/file.tsv"
    assert recipe.description == "two words"


def test_of_two_overrides_the_later_wins(path: Path) -> None:
    assert load(path, "", "training.seed=2", "training.seed=3").training.seed == 3


def test_an_override_wins_over_a_preset_and_a_preset_may_be_one(path: Path) -> None:
    model = load(path, "\n[model]\npreset = 'big'\n", "model.dropout=0.2").model
    assert (model.d_model, model.dropout) == (1024, 0.2)
    model = load(path, "\n[model]\nffn = 64\n", "model.preset=tiny").model
    assert (model.d_model, model.ffn) == (128, 64)


def test_a_loaded_recipe_knows_its_file_and_its_text(path: Path) -> None:
    path.write_text(MINIMAL)
    loaded = load_recipe(str(path), ["training.seed=7"])
    assert (loaded.path, loaded.text, loaded.recipe.training.seed) == (path, MINIMAL, 7)


def test_a_shipped_recipe_is_found_by_its_name_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipe("demo") == find_recipe("demo.toml") == LIBRARY / "demo.toml"
    Path("demo.toml").write_text(MINIMAL)
    assert find_recipe("demo.toml") == Path("demo.toml")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("demmo", f"demmo: no such recipe (give a TOML file, or one of {', '.join(SHIPPED)}; did you mean 'demo'?)"),
        ("zzzz", f"zzzz: no such recipe (give a TOML file, or one of {', '.join(SHIPPED)})"),
        ("missing/demo.toml", f"missing/demo.toml: no such recipe (give a TOML file, or one of {', '.join(SHIPPED)}"),
    ],
)
def test_an_unknown_recipe_is_named_with_the_known_ones_and_the_nearest(name: str, expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        find_recipe(name)
    assert str(caught.value).startswith(expected)


def test_a_run_folder_is_no_recipe_but_holds_one(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").touch()
    with pytest.raises(RecipeError) as caught:
        find_recipe(str(tmp_path))
    assert str(caught.value) == f"{tmp_path}: a run folder, not a recipe (take {tmp_path / 'recipe.toml'})"


def test_where_no_recipes_come_with_nmt_none_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("nmt.config.toml.LIBRARY", tmp_path)
    with pytest.raises(RecipeError, match=r"demo: no such recipe \(give a TOML file\)$"):
        find_recipe("demo")


def test_there_are_shipped_recipes() -> None:
    assert {"demo", "multi30k-en-de"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recipe_is_sound_bears_its_files_name_and_says_what_it_is(name: str) -> None:
    recipe = load_recipe(name).recipe
    assert recipe.name == name
    assert recipe.description


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recipe_resolved_means_the_same(name: str) -> None:
    recipe = load_recipe(name).recipe
    text = resolved_toml(recipe)
    assert check(tomllib.loads(text), "resolved") == recipe
    assert resolved_toml(check(tomllib.loads(text), "resolved")) == text


def test_a_resolved_recipe_holds_every_knob() -> None:
    named = MINIMAL.replace("[data.train]", "[data.train.NAME]")
    sections = [
        "translate_with = 'x'",
        "[data.train.NAME.cleaning]\nmax_pieces = 9",
        "[data.train.NAME.synthetic]\nbeam_size = 1",
        "[data.train.real]\nfiles = 'x'",
        "[distillation]\nteacher = 'x'",
        "[data.dev]\nfiles = 'x'",
        "[data.test.NAME]\nfiles = 'x'",
        f"[data.downloads.NAME]\nurl = 'https://example.org/x'\nsha256 = '{'0' * 64}'",
        "[expected.NAME]\nbleu = 1\nsignature = 'x'",
        "[sweep.NAME.model]\nheads = 1",
        "[[training.stages]]\nname = 'NAME'\nsteps = 1",
    ]
    lines = [
        "[data.monolingual.NAME]\nlanguage = 'en'\ntext = 'x'\n[data.monolingual.NAME.cleaning]\nmax_pieces = 9",
        "[data.devs.NAME]\nfiles = 'x'",
        "[training]\nobjective = 'language-model'",
    ]
    tree, of_lines = (
        tomllib.loads(resolved_toml(check(tomllib.loads("\n".join(parts)), "some")))
        for parts in ([named, *sections], [MINIMAL[: MINIMAL.index("[data.train]")], *lines])
    )
    assert check(tree, "resolved").data.downloads["NAME"].url == "https://example.org/x"
    for knob in knobs():
        value: Any = of_lines if "data.monolingual" in knob.key or "data.devs" in knob.key else tree
        for part in knob.key.split("."):
            if value == "none":  # a section that is switched off
                break
            if isinstance(value, list):
                value = {each["name"]: each for each in value}
            assert part in value, knob.key
            value = value[part]


@pytest.mark.parametrize(
    "text",
    [
        "\n[data.test.'newstest2014.de']\nfiles = 'x'\n[data.test.'newstest2014.fr']\nfiles = 'y'\n",
        "\n[data.dev]\nsource = ['a', 'b']\ntarget = ['c', 'd']\n",
        "\n[cleaning]\nmax_ratio = 'none'\nmax_pieces = 100\n",
        "\n[data.dev]\nfiles = 'C:\\new\\table \"x\".tsv'\n",
        "\n[optimizer]\nepsilon = 1e-12\nlearning_rate = 2\n",
        "\n[tokenizer]\nuser_defined_symbols = ['<a>', '\\', '\"']\n",
        "\n[sweep.'D-0.2']\nmodel = { dropout = 0.2, norm = 'pre' }\n[sweep.C.cleaning]\nmax_ratio = 'none'\n",
    ],
)
def test_any_recipe_resolved_means_the_same(text: str, path: Path) -> None:
    recipe = load(path, text)
    assert check(tomllib.loads(resolved_toml(recipe)), "resolved") == recipe


@pytest.mark.parametrize(
    "value", ["", "é", 'a "b"', "back\\slash", "two\nlines", "tab\t", "\x01\x1f\x7f\x85\u2028", "𝕏"]
)
def test_any_text_is_written_as_toml_reads_it(value: str) -> None:
    assert tomllib.loads(f"x = {to_toml(value)}") == {"x": value}


@pytest.mark.parametrize("value", [True, False, 0, -3, 0.1, 1e-9, 1e300, [], ["a", "b"], [1, 2]])
def test_any_plain_value_is_written_as_toml_reads_it(value: Any) -> None:
    read = tomllib.loads(f"x = {to_toml(value)}")["x"]
    assert (read, type(read)) == (value, type(value))


def test_a_key_is_explained_with_type_bounds_default_and_source() -> None:
    assert explain("decoding.length_penalty") == [
        Knob(
            "decoding.length_penalty",
            "float >= 0, <= 2",
            "0.6",
            "Alpha of the length penalty (Wu et al. 2016, eq. 14).",
        )
    ]
    assert explain("model.heads") == [
        Knob(
            "model.heads",
            "int > 0, <= 4096",
            "8",
            "Attention heads; must divide `d_model` unless `head_width` is given.",
        )
    ]
    assert [(knob.type, knob.default) for knob in explain("training.precision")] == [
        ('"float32" | "bfloat16"', '"float32"')
    ]
    assert [(knob.type, knob.default) for knob in explain("optimizer.clip_norm")] == [("float > 0", '"none"')]
    assert [(knob.type, knob.default) for knob in explain("data.train.NAME.source")] == [
        ("str | list of str", '"none"')
    ]
    assert [(knob.type, knob.default) for knob in explain("languages.source")] == [("str", "required")]
    assert [(knob.type, knob.default) for knob in explain("tokenizer.user_defined_symbols")] == [("list of str", "[]")]


def test_a_key_of_the_only_training_corpus_is_explained_without_its_name() -> None:
    assert explain("data.train.source") == explain("data.train.NAME.source")
    assert explain("data.train.cleaning.max_pieces") == explain("data.train.NAME.cleaning.max_pieces")
    assert len(explain("data.train.cleaning")) == len(explain("cleaning"))


def test_a_section_is_explained_key_by_key_and_all_without_a_key() -> None:
    assert [knob.key for knob in explain("batching")] == ["batching.tokens_per_step", "batching.micro_batch_tokens"]
    assert {knob.key for knob in explain("data.test.NAME")} == {
        knob.key.replace("train.NAME", "test.NAME")
        for knob in explain("data.train")
        if knob.key.removeprefix("data.train.NAME.").partition(".")[0]
        not in ("weight", "replay", "cleaning", "monolingual", "language", "translate_with", "synthetic")
    }
    assert explain(None) == list(knobs())


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("model.head", "no key model.head (did you mean 'model.heads'?)"),
        ("modl", "no key modl (did you mean 'model'?)"),
        ("qqqq", "no key qqqq"),
        ("model.h", "no key model.h"),
    ],
)
def test_an_unknown_key_is_not_explained_but_the_nearest_is_named(key: str, expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        explain(key)
    assert str(caught.value).startswith(expected)


ODD = [
    *("[]", "{}", '""', "1.5", "true", "[[]]", "-1", "1" + "0" * 30, "nan", "1e400", "1979-05-27", "[{}]", '[""]'),
    *("1" * 5000, "0x" + "f" * 5000, "[" * 20_000, '"' + "x" * 20_000 + '"', r'"a\u0000b"', '"http://["', '"[("'),
]


@pytest.mark.filterwarnings("ignore:Possible nested set")
@pytest.mark.parametrize("key", [knob.key for knob in knobs()])
def test_no_value_of_a_key_is_a_traceback_or_a_long_message(key: str) -> None:
    tree: dict[str, Any] = {
        "name": "x",
        "languages": {"source": "en", "target": "de"},
        "data": {"train": {"builtin": "train", "pairs": 9}},
    }
    messages = []
    for value in ODD:
        try:
            check_overridden(tree, [f"{key.replace('NAME', 'a')}={value}"], "x")
        except RecipeError as error:
            messages.append(str(error))
    assert messages
    assert not [message for message in messages if len(message) > LONGEST]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"name = {'[' * 20_000}", "not valid TOML: nested too deeply"),
        (f"[training]\nseed = {'9' * 5000}", "an integer has thousands of digits"),
        (f"{'a.' * 2000}a = 1", "nested too deeply"),
        (f"name = 0x{'f' * 5000}", "name = a number too long to show: must be a valid string"),
    ],
)
def test_extremes_in_a_file_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(tmp_path / "x.toml"))
    assert str(caught.value) == f"{tmp_path / 'x.toml'}: {message}"


@pytest.mark.parametrize("override", ["a." * 2000 + "a=1", "x" * 5000 + "=1", f"model.d_model={'9' * 5000}"])
def test_an_extreme_override_is_cut_in_its_message(override: str) -> None:
    tree = {"name": "x", "languages": {"source": "en", "target": "de"}, "data": {"train": {"files": "a.tsv"}}}
    with pytest.raises(RecipeError) as caught:
        check_overridden(tree, [override], "x")
    assert str(caught.value).startswith(f"--set {override[:97]}...: ")


def test_the_largest_integers_are_bounds_of_the_fields() -> None:
    bounds = {knob.key: knob.type for knob in knobs() if knob.type.startswith("int")}
    assert not [key for key, kind in bounds.items() if "<" not in kind]
    assert bounds["training.max_steps"] == "int > 0, < 100000000"  # checkpoints are named by eight digits
