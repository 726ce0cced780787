"""What `nmt doctor` says of a recipe: all is well, what is doubtful, what cannot be."""

import collections
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from conftest import TINY, Result, Run, TinyRun, tree

from nmt import devices
from nmt.advice import checkup, data_checks, training_checks
from nmt.model.protocol import Model
from nmt.tasks.grammar import Split, generate
from nmt.training import memory, profiling

GOOD = (
    TINY.replace('builtin = "train"\npairs = 800', 'source = "train.en"\ntarget = "train.de"')
    .replace('builtin = "dev"\npairs = 10', 'source = "dev.en"\ntarget = "dev.de"')
    .replace('builtin = "test"\npairs = 20', 'source = "test.en"\ntarget = "test.de"')
    .replace("max_pieces = 62", "max_pieces = 254")
    .replace("max_length = 64", "max_length = 256")
)
SIZES: dict[Split, int] = {"train": 400, "dev": 10, "test": 20}
CHECKS = [
    *("run folder", "device", "compiler", "tensorboard", "schedule", "export", "symbols", "synthetic", "filters"),
    "downloads",
    *(
        "data",
        "leakage",
        "cleaning",
        "metric",
        "vocabulary",
        "normal form",
        "shares",
        "sizes",
        "batching",
        "memory",
        "time",
    ),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure for a moment only."""
    monkeypatch.setattr(profiling, "SECONDS", 0.5)
    monkeypatch.setattr(profiling, "MAX_MICRO_BATCHES", 3)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make a folder with a recipe and its data."""
    for split, size in SIZES.items():
        write_pairs(tmp_path, split, list(generate(split, size, 1)))
    (tmp_path / "tiny.toml").write_text(GOOD, encoding="utf-8")
    return tmp_path


def write_pairs(folder: Path, split: str, pairs: list[tuple[str, str]]) -> None:
    for side, name in enumerate(("en", "de")):
        (folder / f"{split}.{name}").write_text("".join(pair[side] + "\n" for pair in pairs), encoding="utf-8")


def examined(nmt: Run, home: Path, *settings: str) -> Result:
    """Run the doctor, who leaves the folder as it was; every check has its line."""
    before = tree(home)
    said = nmt("doctor", "tiny.toml", *(word for setting in settings for word in ("--set", setting)), cwd=home)
    assert tree(home) == before
    assert list(lines(said)) == CHECKS
    return said


def lines(said: Result) -> dict[str, str]:
    """Return what was found, by the check's name: `OK: it is well`."""
    found = {}
    for line in said.lines:
        check, _, text = line[9:].partition(": ")
        found[check] = f"{line[:9].strip()}: {text}"
    return found


def levels(said: Result) -> dict[str, int]:
    """Count the lines of each kind."""
    return dict(collections.Counter(text.partition(":")[0] for text in lines(said).values()))


def skipped(said: Result) -> list[str]:
    """Return the checks that were not made."""
    return [check for check, text in lines(said).items() if text.startswith("skipped: ")]


def test_a_good_recipe_is_all_ok(nmt_here: Run, home: Path) -> None:
    said = examined(nmt_here, home)
    assert (said.code, said.err, levels(said)) == (0, "", {"OK": len(CHECKS)})
    found = lines(said)
    assert found["run folder"] == "OK: runs/tiny is new"
    assert found["compiler"] == found["tensorboard"] == "OK: not asked for"
    assert found["schedule"] == "OK: 200 steps, peak learning rate 0.01 at step 20"
    assert found["export"] == (
        "OK: a model of this shape can be exported to CTranslate2: pre-norm, sinusoidal positions, "
        "tied_embeddings all; the package is installed"
    )
    assert found["data"] == ("OK: pairs of train 400, dev 10, test.test 20; UTF-8, each line with its translation")
    assert found["leakage"] == (
        "OK: of dev, 0 of 10 sources are in train, 0 with the same target; "
        "of test.test, 0 of 20 sources are in train, 0 with the same target"
    )
    assert found["cleaning"] == "OK: of all 400 pairs, dropped: none"
    assert found["vocabulary"].startswith("OK: a tokenizer of 400 pieces, trained on all 400 pairs; source: ")
    assert found["vocabulary"].endswith("; 0.00% of the pairs over 254 pieces")
    assert found["sizes"].startswith(
        "OK: 34,304 parameters; 5 checkpoints of 0.4 MB, the best and the model need 0.00 "
    )
    assert " tokens of 1,000 a step; an epoch is " in found["batching"]
    assert " padded tokens is one micro-batch and takes " in found["memory"]
    assert found["memory"].endswith(" GiB; the longest dev sentences fit")
    assert found["time"].startswith("OK: about ")
    assert ": 200 steps of " in found["time"]
    assert ", 2 validations of " in found["time"]


def test_a_run_under_way_is_left_as_it_is_and_its_tokenizer_is_taken(nmt_here: Run, tiny: TinyRun) -> None:
    before = tree(tiny.folder)
    said = nmt_here("doctor", "tiny.toml", cwd=tiny.recipe.parent)
    assert tree(tiny.folder) == before
    assert said.code == 0
    assert lines(said)["run folder"] == "OK: runs/tiny is of this recipe"
    assert "the run folder's tokenizer; source: " in lines(said)["vocabulary"]


def test_of_a_model_to_begin_with_the_tokenizer_is_taken(nmt_here: Run, home: Path, tiny: TinyRun) -> None:
    said = nmt_here("doctor", "tiny.toml", "--init-from", tiny.model, cwd=home)
    assert said.code == 0
    assert "the tokenizer of training.init_from; source: " in lines(said)["vocabulary"]


def test_another_recipes_run_folder_is_an_error(nmt_here: Run, home: Path) -> None:
    (home / "runs" / "tiny").mkdir(parents=True)
    lock = {"recipe": {"name": "other"}, "sessions": []}
    (home / "runs" / "tiny" / "lock.json").write_text(json.dumps(lock), encoding="utf-8")
    said = examined(nmt_here, home)
    assert lines(said)["run folder"] == ("error: runs/tiny: the run folder of recipe 'other' (take another --run-dir)")
    assert lines(said)["cleaning"] == "OK: of all 400 pairs, dropped: none"
    assert (said.code, said.err) == (2, "nmt: tiny.toml: checks that found an error: 1, the first is run folder\n")


def test_misaligned_files_are_an_error_and_what_needs_data_is_skipped(nmt_here: Run, home: Path) -> None:
    with (home / "train.de").open("a") as file:
        file.write("Eine Zeile zu viel.\n")
    said = examined(nmt_here, home)
    assert lines(said)["data"] == (
        "error: train.en has 400 lines but train.de has 401 (the two files of a corpus are translations line by line)"
    )
    assert lines(said)["leakage"] == "skipped: needs the check of data"
    assert skipped(said) == CHECKS[CHECKS.index("leakage") :]
    assert (said.code, said.err) == (3, "nmt: tiny.toml: checks that found an error: 1, the first is data\n")


def test_the_first_error_gives_the_exit_code(nmt_here: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (home / "train.de").unlink()
    said = examined(nmt_here, home, "training.device=cuda")
    assert lines(said)["device"] == "error: no GPU that torch can use on this machine (take device cpu or auto)"
    assert lines(said)["compiler"] == "skipped: needs the check of device"
    assert lines(said)["data"].startswith("error: train.de: no such file")
    assert (said.code, said.err) == (2, "nmt: tiny.toml: checks that found an error: 2, the first is device\n")


def test_a_test_set_that_is_in_train_is_a_warning(nmt_here: Run, home: Path) -> None:
    train, test = list(generate("train", 400, 1)), list(generate("test", 20, 1))
    write_pairs(home, "train", [*train, *test[:10], (test[10][0], "Das ist etwas ganz anderes als dort.")])
    said = examined(nmt_here, home)
    known = (
        "warning: of dev, 0 of 10 sources are in train, 0 with the same target; of test.test, 11 of 20 sources are in "
        "train, 10 with the same target; "
    )
    assert said.code == 0
    assert lines(said)["leakage"] == (
        f"{known}55% of test.test is not new to the model (set cleaning.drop_leaked_sides = true, or use another "
        "test.test: cleaning drops only the same pairs)"
    )
    assert lines(said)["cleaning"] == "OK: of all 411 pairs, dropped: leaked 10"
    said = examined(nmt_here, home, "cleaning.drop_leaked=false", "cleaning.drop_leaked_near=false")
    assert lines(said)["leakage"].startswith(f"{known}pairs of test.test stay in train; 55% of test.test is not new ")
    assert "(set cleaning.drop_leaked = true; set cleaning.drop_leaked_sides = true, or " in lines(said)["leakage"]
    said = examined(nmt_here, home, "cleaning.drop_leaked_sides=true")
    assert lines(said)["leakage"] == f"OK: {known.removeprefix('warning: ').removesuffix('; ')}"


def test_without_dev_and_test_there_is_nothing_to_leak(nmt_here: Run, home: Path) -> None:
    start, end = GOOD.index("[data.dev]"), GOOD.index("[cleaning]")
    (home / "tiny.toml").write_text(GOOD[:start] + GOOD[end:], encoding="utf-8")
    said = examined(nmt_here, home, "data.dev_pairs=10", "data.test_pairs=20")
    assert (said.code, levels(said)) == (0, {"OK": len(CHECKS)})
    assert lines(said)["data"].startswith("OK: pairs of train 400; ")
    assert lines(said)["leakage"] == "OK: dev and test are split off the training text"


def test_cleaning_that_drops_much_is_a_warning(nmt_here: Run, home: Path) -> None:
    write_pairs(home, "train", [*generate("train", 400, 1), *[("same", "same")] * 300, *[("", "x")] * 100])
    said = examined(nmt_here, home)
    assert said.code == 0
    assert lines(said)["cleaning"] == (
        "warning: of all 800 pairs, dropped: empty 100, copies 300; that is 50% "
        "(check the pairs that copies drops with nmt -v prepare, or loosen [cleaning])"
    )


def test_a_vocabulary_that_the_text_does_not_allow_is_an_error(
    nmt_here: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = examined(nmt_here, home, "tokenizer.vocab_size=30000")
    assert (
        "error: tokenizer.vocab_size = 30000 is more than the text of both sides allows, "
        in (lines(said)["vocabulary"])
    )
    assert skipped(said) == CHECKS[CHECKS.index("normal form") :]
    assert (said.code, said.err) == (3, "nmt: tiny.toml: checks that found an error: 1, the first is vocabulary\n")
    monkeypatch.setattr(data_checks, "SAMPLE", 100)
    monkeypatch.setattr(data_checks, "SMALLEST", 10)
    said = examined(nmt_here, home, "tokenizer.vocab_size=30000")
    assert said.code == 0
    assert lines(said)["vocabulary"].startswith(
        "skipped: the first 100 of 400 pairs allow no such tokenizer, all may: tokenizer.vocab_size = 30000 is more "
    )


def test_pieces_that_do_not_fit_the_text_are_warnings(nmt_here: Run, home: Path) -> None:
    write_pairs(home, "dev", [*generate("dev", 10, 1), ("house " * 40, "Haus " * 40)])
    said = examined(
        nmt_here, home, "tokenizer.character_coverage=0.98", "cleaning.max_pieces=62", "model.max_length=64"
    )
    found = lines(said)["vocabulary"]
    assert said.code == 0
    assert found.startswith("warning: ")
    for part in (
        "; too many of source; too many of target; these are dropped; 1 dev pairs are cut for the dev loss (",
        "(raise tokenizer.character_coverage or vocab_size; raise cleaning.max_pieces and model.max_length; "
        "raise model.max_length)",
    ):
        assert part in found


def test_a_step_smaller_than_the_longest_sentence_is_an_error(nmt_here: Run, home: Path) -> None:
    said = examined(nmt_here, home, "batching.tokens_per_step=30")
    assert lines(said)["batching"].startswith(
        "error: batching.tokens_per_step = 30 is smaller than the longest training sentence ("
    )
    assert lines(said)["batching"].endswith(" (raise it, or lower cleaning.max_pieces)")
    assert skipped(said) == ["memory", "time"]
    assert (said.code, said.err) == (2, "nmt: tiny.toml: checks that found an error: 1, the first is batching\n")


def test_of_large_data_the_first_pairs_are_looked_at_and_the_findings_say_so(
    nmt_here: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_checks, "SAMPLE", 100)
    monkeypatch.setattr(data_checks, "SMALLEST", 10)
    said = examined(nmt_here, home, "batching.tokens_per_step=240")
    assert lines(said)["cleaning"] == "OK: of the first 100 of 400 pairs, dropped: none"
    assert "trained on the first 100 of 400 pairs; " in lines(said)["vocabulary"]
    assert lines(said)["batching"].startswith("warning: ")
    assert "; an epoch is about " in lines(said)["batching"]
    assert lines(said)["batching"].endswith("; a sentence may have 255 tokens (raise batching.tokens_per_step to that)")
    for module in (checkup, data_checks):
        monkeypatch.setattr(module, "READ", 200)
    said = examined(nmt_here, home)
    assert lines(said)["data"] == (
        "OK: pairs of train 200, dev 10, test.test 20; UTF-8, each line with its translation; "
        "read no further than 200 pairs: train"
    )
    assert "; an epoch is at least " in lines(said)["batching"]


def test_of_several_corpora_each_has_its_share_and_an_epoch_is_of_all(nmt_here: Run, home: Path) -> None:
    write_pairs(home, "small", list(generate("train", 500, 1))[400:])
    small = '[data.train.small]\nsource = "small.en"\ntarget = "small.de"\nweight = 4.0\n\n[data.dev]'
    recipe = GOOD.replace("[data.train]", "[data.train.large]").replace("[data.dev]", small)
    (home / "tiny.toml").write_text(recipe, encoding="utf-8")
    said = examined(nmt_here, home)
    found = lines(said)
    assert (said.code, levels(said)) == (0, {"OK": len(CHECKS)})
    assert found["data"].startswith("OK: pairs of train.large 400, train.small 100, dev 10, test.test 20; ")
    assert found["cleaning"] == "OK: of all 500 pairs, dropped: none; that is 0% of large, 0% of small"
    assert found["shares"].startswith("OK: of the target tokens of an epoch: large ")
    assert found["shares"].endswith("%, each pair 4 times")
    plain = lines(examined(nmt_here, home, "data.train.small.weight=1.0"))
    steps = [int(line["batching"].split("; an epoch is ")[1].split(" steps")[0]) for line in (found, plain)]
    assert 1.4 < steps[0] / steps[1] < 1.8


def test_without_what_is_to_be_fetched_what_needs_data_is_skipped(nmt_here: Run, home: Path) -> None:
    download = f'[data.downloads."train.en"]\nurl = "https://one.test/train.en"\nsha256 = "{"0" * 64}"\n\n[data.dev]'
    (home / "tiny.toml").write_text(GOOD.replace("[data.dev]", download), encoding="utf-8")
    assert lines(examined(nmt_here, home))["downloads"] == "OK: nothing to download"
    (home / "train.en").unlink()
    said = examined(nmt_here, home)
    assert (said.code, said.err) == (0, "")
    assert lines(said)["downloads"] == (
        "skipped: not downloaded yet: train.en from https://one.test/train.en "
        "(run nmt prepare, which downloads it, then nmt doctor again)"
    )
    assert lines(said)["data"] == "skipped: needs the check of downloads"
    assert skipped(said) == CHECKS[CHECKS.index("downloads") :]


@pytest.mark.parametrize("missing", [["dev"], ["test.test"], ["dev", "test.test"], ["test.news"]])
def test_of_corpora_that_are_to_be_fetched_those_to_train_on_alone_are_needed(
    nmt_here: Run, home: Path, monkeypatch: pytest.MonkeyPatch, missing: list[str]
) -> None:
    monkeypatch.setenv("NMT_CACHE", str(home / "cache"))
    recipe, origins = GOOD, []
    if "test.news" in missing:
        recipe = recipe.replace("[cleaning]", '[data.test.news]\nsource = "news.en"\ntarget = "test.de"\n\n[cleaning]')
    for name in missing:
        file = f"{name.rpartition('.')[2]}.en"
        (home / file).unlink(missing_ok=True)
        download = f'[data.downloads."{file}"]\nurl = "https://one.test/{file}"\nsha256 = "{"0" * 64}"\n\n[cleaning]'
        recipe = recipe.replace("[cleaning]", download)
        origins.append(f"{file} from https://one.test/{file}")
    (home / "tiny.toml").write_text(recipe, encoding="utf-8")
    said = examined(nmt_here, home)
    found, left = lines(said), ", ".join(missing)
    assert (said.code, said.err, levels(said)) == (0, "", {"OK": len(CHECKS) - 1, "warning": 1})
    assert found["downloads"] == (
        f"warning: not downloaded yet: {'; '.join(origins)}; left out of the checks: {left} "
        "(run nmt prepare, which downloads it, then nmt doctor again)"
    )
    sizes = {"dev": 10, "test.test": 20}
    read = ", ".join(f"{name} {size}" for name, size in sizes.items() if name not in missing)
    assert found["data"].startswith(f"OK: pairs of train 400{', ' if read else ''}{read}; ")
    assert found["leakage"].endswith(f"not checked: {left}")
    assert found["cleaning"].startswith("OK: of all 400 pairs, dropped: none")
    longest = "training sentences in place of dev" if "dev" in missing else "dev sentences"
    assert found["memory"].endswith(f"; the longest {longest} fit")
    assert (", 2 validations of " in found["time"]) == ("dev" not in missing)
    assert found["time"].endswith(f"; not included: {left}")


def test_a_training_of_the_wrong_length_is_a_warning(nmt_here: Run, home: Path) -> None:
    said = examined(nmt_here, home, "training.max_steps=2")
    assert said.code == 0
    assert lines(said)["schedule"] == (
        "warning: 2 steps, peak learning rate 0.001 at step 2; the training ends within the warm-up of 20 steps "
        "(lower optimizer.warmup_steps to a tenth of training.max_steps, or raise the latter)"
    )
    assert "% of the pairs are never seen (set training.max_steps = " in lines(said)["batching"]
    said = examined(nmt_here, home, "training.max_steps=99_000_000")
    assert lines(said)["batching"].endswith(
        "; a model overfits in so many epochs (lower training.max_steps, or set training.patience)"
    )
    assert lines(said)["time"].endswith("; that is more than 7 days (take a GPU, a smaller model, or fewer steps)")


def test_too_little_free_memory_is_an_error(nmt_here: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "free_memory", lambda _: 2**20)
    monkeypatch.setattr(memory, "micro_batch_cost", lambda *_: lambda tokens: tokens * 2**10)
    said = examined(nmt_here, home)
    assert lines(said)["memory"] == (
        "error: not even 1,024 padded tokens of the longest sentences fit into 0.0 GiB of free memory (take a smaller "
        "model, shorter sentences (cleaning.max_pieces), or a device with more memory)"
    )
    assert skipped(said) == ["time"]
    assert (said.code, said.err) == (2, "nmt: tiny.toml: checks that found an error: 1, the first is memory\n")


def test_a_step_that_does_not_fit_at_once_is_cut_or_a_warning(
    nmt_here: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "free_memory", lambda _: 4 * 2**30)
    monkeypatch.setattr(memory, "micro_batch_cost", lambda *_: lambda tokens: tokens * 2**20)
    said = examined(nmt_here, home, "batching.tokens_per_step=5000")
    assert (said.code, lines(said)["memory"][:5]) == (0, "OK: a")
    assert " is cut into micro-batches of 2,048, which take 2.00 of 4.0 GiB; the longest dev " in lines(said)["memory"]
    said = examined(nmt_here, home, "batching.tokens_per_step=5000", "batching.micro_batch_tokens=4000")
    assert said.code == 0
    assert lines(said)["memory"].endswith(
        '; a micro-batch of 4,000 may not fit (set batching.micro_batch_tokens = "auto", or that size)'
    )


def test_a_pass_that_takes_too_long_to_try_is_reckoned(
    nmt_here: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiling, "SECONDS", 0.0)
    monkeypatch.setattr(memory, "micro_batch_cost", lambda *_: lambda tokens: tokens * 2**10)
    said = examined(nmt_here, home, "batching.tokens_per_step=5000")
    assert said.code == 0
    assert " GiB, estimated from 1,024 tokens; the longest dev sentences fit" in lines(said)["memory"]


def test_a_model_that_does_not_fit_is_an_error(nmt_here: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(training_checks, "Trainer", full)
    said = examined(nmt_here, home)
    assert said.code == 2
    assert lines(said)["batching"] == ("error: the model alone does not fit into the memory (take a smaller model)")


def test_a_disk_too_small_for_the_checkpoints_is_an_error(
    nmt_here: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(home)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    said = examined(nmt_here, home, "training.ema_decay=0.99", "training.average=best")
    assert lines(said)["sizes"] == (
        "error: 34,304 parameters; 5 checkpoints of 0.5 MB, the best and the model need 0.00 GB, but "
        f"{home / 'runs' / 'tiny'} has 0.00 GB free (free some space, take another --run-dir, or lower "
        "training.keep_checkpoints)"
    )
    assert skipped(said) == []
    assert said.code == 4


def test_a_missing_compiler_is_a_warning(nmt_here: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "compiler_works", lambda _: False)
    said = examined(nmt_here, home, "training.compile=true")
    assert said.code == 0
    assert lines(said)["compiler"] == (
        "warning: training.compile = true, and no compiler works on this machine: the layers will run uncompiled "
        "(install a C++ compiler, or set training.compile = false)"
    )
    monkeypatch.setattr(devices, "compiler_works", lambda _: True)
    monkeypatch.setattr(Model, "compile_layers", lambda _: None)  # which takes long
    assert lines(examined(nmt_here, home, "training.compile=true"))["compiler"] == "OK: torch.compile works"


def test_tensorboard_is_looked_for_where_it_is_asked_for(
    nmt_here: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lines(examined(nmt_here, home, "training.tensorboard=true"))["tensorboard"] == "OK: installed"
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    said = examined(nmt_here, home, "training.tensorboard=true")
    assert said.code == 2
    assert lines(said)["tensorboard"] == (
        'error: training.tensorboard = true needs a package that is not installed (pip install -e ".[tensorboard]")'
    )
