"""The stage `synthetic`: pairs that tiny models make, resumed, shared by ranks, chosen by scores, and passed on."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import tree
from runs import changes, make_run, write_translator

from nmt.config.decoding import SamplingConfig
from nmt.config.inference import Options
from nmt.config.synthetic import WordNoiseConfig
from nmt.data.cleaning.corpus_text import iterate_text
from nmt.data.pairs import Pair
from nmt.data.word_noise import with_noise
from nmt.errors import ArtifactError, DataError, StorageError
from nmt.files import read_json
from nmt.inference.translator import Translator
from nmt.pipeline import synthetic, synthetic_pairs, text
from nmt.pipeline.manifest import Manifest, work_folder
from nmt.pipeline.pipeline import run_stages
from nmt.pipeline.run import Run
from nmt.pipeline.stage_cache import StageCache
from nmt.pipeline.synthetic import STAGE
from nmt.training.distributed import Ranks

GERMAN = [f"Der {noun} sieht die Katze." for noun in ("Mann", "Hund", "Arzt", "Sohn", "Vogel", "Koch", "Freund")]
ENGLISH = [f"The {noun} drinks tea." for noun in ("man", "dog", "doctor", "son", "bird", "cook", "friend")]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the tiny models `en-de` and `other`, which translate from English, and `de-en`."""
    folder = tmp_path_factory.mktemp("models")
    for name, pair, seed in (("en-de", ("en", "de"), 2), ("other", ("en", "de"), 3), ("de-en", ("de", "en"), 4)):
        write_translator(folder / name, *pair, seed=seed)
    return folder


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic_pairs, "SHARD_LINES", 3)


def write(path: Path, lines: Sequence[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path.name


def run_of(
    root: Path,
    train: dict[str, Any],
    *,
    folder: str = "run",
    cleaning: dict[str, Any] | None = None,
    cache: StageCache | None = None,
    **sections: Any,
) -> Run:
    """Return a run in `root` with its own dev and test sets."""
    held_out = {"files": write(root / "held-out.tsv", ["Good evening to you .\tGuten Abend ."])}
    loose = {"max_ratio": "none", "drop_duplicates": False, **(cleaning or {})}
    data = {"train": train, "dev": held_out, "test": {"news": held_out}}
    return make_run(root, folder=folder, cache=cache, data=data, cleaning=loose, **sections)


def mono(root: Path, models: Path, lines: Sequence[str] = GERMAN, **settings: Any) -> dict[str, Any]:
    corpus = {"monolingual": write(root / "news.de", lines), "translate_with": str(models / "de-en"), "tags": ["<bt>"]}
    return {**corpus, **({"synthetic": settings} if settings else {})}


def pairs(root: Path) -> dict[str, Any]:
    return {"files": write(root / "pairs.tsv", [f"{one}\t{other}" for one, other in zip(ENGLISH, GERMAN, strict=True)])}


def made(run: Run, corpus: str = "mono", number: int = 0) -> list[Pair]:
    """Run the stage, and return the pairs of a corpus."""
    run_stages(run, "synthetic")
    return list(iterate_text(run.folder.synthetic / corpus, str(number)))


def counts(run: Run, corpus: str = "mono") -> dict[str, Any]:
    found: dict[str, Any] = (Manifest.of(run.folder.synthetic).counts or {})["corpora"][corpus]
    return found


def translated(*paths: Path, lines: Sequence[str], **decoding: int) -> list[str]:
    return [each.text for each in Translator.load(*paths, decoding=decoding, device="cpu").translate(lines)]


def test_monolingual_lines_are_the_targets_of_their_translations(tmp_path: Path, models: Path) -> None:
    lines = [*GERMAN[:4], "", " \u3000", *GERMAN[4:]]
    run = run_of(tmp_path, {"mono": mono(tmp_path, models, lines)})
    sources = translated(models / "de-en", lines=GERMAN)
    assert made(run) == list(zip(sources, GERMAN, strict=True))
    found = counts(run)
    assert (found["lines"], found["pairs"], found["dropped"]) == (9, 7, {"blank lines": 2, "blank translations": 0})
    assert len(list((run.folder.synthetic / "mono" / "0").glob("*.arrow"))) == 3
    run_stages(run, "text")
    tagged = [f"<bt> {source}" for source in sources]
    assert list(iterate_text(run.folder.text, "train")) == list(zip(tagged, GERMAN, strict=True))


def test_what_is_made_is_said_with_the_flaws_of_the_translations(
    tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(tmp_path, {"mono": mono(tmp_path, models, [*GERMAN, "", "word " * 40])})
    made(run)
    err = capsys.readouterr().err
    assert "synthetic: mono: 8 pairs of 9 lines; dropped: blank lines 1\n" in err
    assert "nmt: warning: mono: input lines with a sentence too long for the model, split within it: 1\n" in err
    assert "blank, and so are their translations" not in err


def test_a_teacher_makes_the_targets_and_the_original_pairs_stay_where_they_are_kept(
    tmp_path: Path, models: Path
) -> None:
    targets = translated(models / "en-de", lines=ENGLISH)
    for keep in (False, True):
        teacher = {"teacher": str(models / "en-de"), "keep_original": keep}
        run = run_of(tmp_path, {"real": pairs(tmp_path)}, folder=str(keep), distillation=teacher)
        assert made(run, "real") == list(zip(ENGLISH, targets, strict=True))
        run_stages(run, "text")
        original = list(zip(ENGLISH, GERMAN, strict=True)) if keep else []
        assert list(iterate_text(run.folder.text, "train")) == original + list(zip(ENGLISH, targets, strict=True))


def test_each_model_of_several_translates_the_side_that_it_reads(tmp_path: Path, models: Path) -> None:
    names = [str(models / name) for name in ("en-de", "de-en", "other")]
    run = run_of(tmp_path, {"a": {**pairs(tmp_path), "translate_with": names}})
    assert made(run, "a", 0) == list(zip(ENGLISH, translated(models / "en-de", lines=ENGLISH), strict=True))
    assert made(run, "a", 1) == list(zip(translated(models / "de-en", lines=GERMAN), GERMAN, strict=True))
    assert made(run, "a", 2) == list(zip(ENGLISH, translated(models / "other", lines=ENGLISH), strict=True))
    run_stages(run, "text")
    assert len(list(iterate_text(run.folder.text, "train"))) == 4 * len(ENGLISH)  # the original pairs among them


def test_an_ensemble_translates_together(tmp_path: Path, models: Path) -> None:
    names = [str(models / name) for name in ("en-de", "other")]
    run = run_of(tmp_path, {"real": pairs(tmp_path)}, distillation={"teacher": names, "ensemble": True, "beam_size": 2})
    expected = translated(models / "en-de", models / "other", lines=ENGLISH, beam_size=2)
    assert made(run, "real") == list(zip(ENGLISH, expected, strict=True))
    assert [path.name for path in (run.folder.synthetic / "real").iterdir()] == ["0"]


def test_sampling_and_noise_change_the_sources(tmp_path: Path, models: Path) -> None:
    drawn = SamplingConfig(seed=5, top_k=3)
    sampled = mono(tmp_path, models, method="sampling", sampling={"seed": 5, "top_k": 3})
    lines = Translator.load(models / "de-en", device="cpu").translate(GERMAN, Options(sampling=drawn))
    assert [source for source, _ in made(run_of(tmp_path, {"mono": sampled}))] == [line.text for line in lines]
    noise = {"blank": 0.9, "seed": 4}
    noised = mono(tmp_path, models, method="noised", noise=noise)
    run = run_of(tmp_path, {"mono": noised}, folder="b", tokenizer={"user_defined_symbols": ["<blank>"]})
    plain = translated(models / "de-en", lines=GERMAN)
    assert (
        [source for source, _ in made(run)]
        == [with_noise(line, WordNoiseConfig.model_validate(noise)) for line in plain]
        != plain
    )


def log_probs(model: Path, sources: Sequence[str], targets: Sequence[str]) -> list[float]:
    scored = Translator.load(model, device="cpu").score(sources, targets)
    return [sum(each.token_scores) / len(each.token_scores) if each.token_scores else -math.inf for each in scored]


def test_the_pairs_with_the_best_scores_stay_in_their_order(tmp_path: Path, models: Path) -> None:
    sources = translated(models / "de-en", lines=GERMAN)
    scores = log_probs(models / "de-en", GERMAN, sources)
    limit = sorted(scores, reverse=True)[2]
    best = [pair for pair, score in zip(zip(sources, GERMAN, strict=True), scores, strict=True) if score >= limit]
    share = run_of(tmp_path, {"mono": mono(tmp_path, models, keep_share=0.35)}, folder="share")
    assert made(share) == best
    assert sum(counts(share)["dropped"].values()) == 4
    least = run_of(tmp_path, {"mono": mono(tmp_path, models, min_score=limit - 1e-4)}, folder="least")
    assert made(least) == best
    assert not (least.folder.synthetic / "scored").exists()
    with pytest.raises(DataError, match=r"^mono: no synthetic pair of 7 lines; dropped: .*low score 6$"):
        made(run_of(tmp_path, {"mono": mono(tmp_path, models, min_score=-1e-9)}, folder="none"))


def test_the_best_of_several_samples_is_that_of_the_best_dual_score(tmp_path: Path, models: Path) -> None:
    settings: dict[str, Any] = {"method": "sampling", "best_of": 3, "score_with": str(models / "en-de")}
    found = made(run_of(tmp_path, {"mono": mono(tmp_path, models, **settings)}))
    options = Options(n_best=3, sampling=SamplingConfig())
    samples = Translator.load(models / "de-en", device="cpu").translate(GERMAN, options)
    for line, source, translation in zip(GERMAN, (source for source, _ in found), samples, strict=True):
        texts = [candidate.text for candidate in translation.candidates]
        one = log_probs(models / "de-en", [line] * 3, texts)
        other = log_probs(models / "en-de", texts, [line] * 3)
        dual = [(a + b) / 2 - abs(a - b) for a, b in zip(one, other, strict=True)]
        assert dual[texts.index(source)] == pytest.approx(max(dual), abs=1e-5)


def broken_off(monkeypatch: pytest.MonkeyPatch, run: Run, shards: int) -> None:
    """Run the stage until this number of shards is written."""
    whole, left = synthetic_pairs.write_rows, [shards]

    def write_rows(*arguments: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(synthetic_pairs, "write_rows", write_rows)
        with pytest.raises(KeyboardInterrupt):
            run_stages(run, "synthetic")


@pytest.mark.parametrize("shards", [0, 1, 4, 6, 7])
def test_a_run_that_is_broken_off_goes_on_after_its_last_shard_with_the_same_bytes(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch, shards: int
) -> None:
    names = [str(models / name) for name in ("de-en", "en-de")]
    corpora = {"a": {**pairs(tmp_path), "translate_with": names, "synthetic": {"keep_share": 0.8}}}
    whole, other = (run_of(tmp_path, corpora, folder=name) for name in ("whole", "other"))
    run_stages(whole, "synthetic")
    broken_off(monkeypatch, other, shards)
    assert not other.folder.synthetic.exists()
    kept = tree(work_folder(other.folder.synthetic) / "made")
    assert len([name for name in kept if name.endswith(".arrow")]) == shards
    lines: list[str] = []
    whole_stream = Translator.stream

    def stream(self: Translator, given: Any, *arguments: Any, **named: Any) -> Any:
        taken = list(given)
        lines.extend(taken)
        return whole_stream(self, iter(taken), *arguments, **named)

    monkeypatch.setattr(Translator, "stream", stream)
    run_stages(other, "synthetic")
    assert tree(other.folder.synthetic) == tree(whole.folder.synthetic)
    expected = [[*GERMAN, *ENGLISH], [*GERMAN[3:], *ENGLISH], None, None, ENGLISH[3:], None, [], []][shards]
    assert lines == expected if shards != 4 else lines == ENGLISH[3:]


def test_ranks_share_the_shards_and_make_the_bytes_of_one_process(tmp_path: Path, models: Path) -> None:
    run = run_of(tmp_path, {"a": {**pairs(tmp_path), "translate_with": [str(models / "de-en"), str(models / "en-de")]}})
    alone, taken = tmp_path / "alone", iter(range(100))

    class Rank(Ranks):
        def take(self) -> int:
            return next(taken)

    synthetic.translate(run, alone)
    run.ranks = Rank(rank=1, size=2)
    synthetic.translate(run, tmp_path / "ranks")  # this rank takes all numbers
    assert tree(tmp_path / "ranks") == tree(alone)
    taken = iter([1, 2, 5, 9])
    synthetic.translate(run, tmp_path / "second")
    own = tree(tmp_path / "second")
    shards = {name.removesuffix(".arrow") for name in own if name.endswith(".arrow")}
    assert shards == {"a/0/00001", "a/0/00002", "a/1/00002"}
    assert own.items() <= tree(alone).items()
    with pytest.raises(StorageError, match=r"00000\.arrow: missing or damaged"):
        synthetic.finish(tmp_path / "second", [(maker, 3) for maker in run.open_makers()])


def test_a_rank_that_sees_no_folder_of_the_first_says_so(tmp_path: Path, models: Path) -> None:
    class Rank(Ranks):
        def any(self, *flags: bool) -> list[bool]:
            return [True for _ in flags]

    run = run_of(tmp_path, {"mono": mono(tmp_path, models)})
    run.ranks = Rank(rank=1, size=2)
    with pytest.raises(StorageError, match=r"made: not seen by rank 1 "):
        synthetic.join(run)


def test_models_files_and_settings_are_inputs_and_cleaning_is_none(tmp_path: Path, models: Path) -> None:
    def run(folder: str = "run", lines: Sequence[str] = GERMAN, **settings: Any) -> Run:
        return run_of(tmp_path, {"mono": mono(tmp_path, models, lines, **settings)}, folder=folder)

    plain = run()
    assert changes(STAGE, plain, run(folder="c")) == []
    cleaned = run_of(tmp_path, {"mono": mono(tmp_path, models)}, cleaning={"max_characters": 9})
    assert changes(STAGE, plain, cleaned) == []
    key = "data.train.mono.synthetic"
    assert changes(STAGE, plain, run(method="sampling")) == [key, f"{key}.method"]
    assert run().data_digests["train.mono"].keys() == {"news.de", str(models / "de-en")}
    shutil.copytree(models / "de-en", tmp_path / "copy")
    copied = run_of(tmp_path, {"mono": {**mono(tmp_path, models), "translate_with": "copy"}})
    assert changes(STAGE, plain, copied) == []
    other = write_translator(tmp_path / "new", "de", "en", seed=9)
    replaced = run_of(tmp_path, {"mono": {**mono(tmp_path, models), "translate_with": str(other)}})
    assert changes(STAGE, plain, replaced) == ["corpora.mono.models"]
    inputs = STAGE.inputs(plain)
    assert inputs != STAGE.inputs(run(lines=GERMAN[:3]))


def test_text_depends_on_the_pairs_and_a_recipe_without_models_knows_nothing_of_them(
    tmp_path: Path, models: Path
) -> None:
    run = run_of(tmp_path, {"mono": mono(tmp_path, models)})
    run_stages(run, "text")
    assert "mono/0/00000.arrow" in text.inputs(run)["synthetic"]
    assert read_json(run.folder.lock)["results"].keys() == {"synthetic", "text"}
    plain = run_of(tmp_path, {"real": pairs(tmp_path)}, folder="plain")
    assert "synthetic" not in text.inputs(plain)
    run_stages(plain, "text")
    assert read_json(plain.folder.lock)["results"].keys() == {"text"}
    assert not plain.folder.synthetic.exists()


def test_a_model_that_is_gone_is_no_longer_needed_once_its_pairs_are_there(tmp_path: Path, models: Path) -> None:
    shutil.copytree(models / "de-en", tmp_path / "gone")
    corpora = {"mono": {**mono(tmp_path, models), "translate_with": "gone"}}
    run_stages(run_of(tmp_path, corpora), "text")
    shutil.move(tmp_path / "gone", tmp_path / "away")
    again = run_of(tmp_path, corpora)
    assert STAGE.due(again) is None
    run_stages(again, "text")
    with pytest.raises(ArtifactError, match=r"gone: no such bundle "):
        run_stages(run_of(tmp_path, corpora, folder="new"), "text")
    there = sorted(path for path in again.folder.synthetic.rglob("*") if path.is_file())
    searched = {"mono": {**corpora["mono"], "synthetic": {"beam_size": 2}}}
    with pytest.raises(ArtifactError, match=r"gone: no such bundle "):  # and what there is stays
        run_stages(run_of(tmp_path, searched), "text")
    assert sorted(path for path in again.folder.synthetic.rglob("*") if path.is_file()) == there


def test_runs_share_the_pairs_by_the_cache(tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpora = {"mono": mono(tmp_path, models)}
    first, second = (
        run_of(tmp_path, corpora, folder=name, cache=StageCache(tmp_path / "cache")) for name in ("one", "two")
    )
    expected = made(first)
    capsys.readouterr()
    assert made(second) == expected
    assert "synthetic: from the cache" in capsys.readouterr().err


def test_a_side_that_is_in_a_test_set_is_no_synthetic_pair(tmp_path: Path, models: Path) -> None:
    lines = [*GERMAN, "guten Abend!"]
    for drop, kept in ((True, 7), (False, 8)):
        run = run_of(
            tmp_path, {"mono": mono(tmp_path, models, lines)}, folder=str(drop), cleaning={"drop_leaked": drop}
        )
        run_stages(run, "text")
        assert len(list(iterate_text(run.folder.text, "train"))) == kept


def test_dev_and_test_are_split_off_the_other_corpora(tmp_path: Path, models: Path) -> None:
    data = {"train": {"mono": mono(tmp_path, models), "real": pairs(tmp_path)}, "dev_pairs": 1, "test_pairs": 2}
    run = make_run(tmp_path, data=data, cleaning={"max_ratio": "none"})
    run_stages(run, "text")
    known = set(zip(ENGLISH, GERMAN, strict=True))
    assert {*iterate_text(run.folder.text, "dev"), *iterate_text(run.folder.text, "test.held-out")} <= known
    train = [target for source, target in iterate_text(run.folder.text, "train") if source.startswith("<bt>")]
    held_out = [*iterate_text(run.folder.text, "dev"), *iterate_text(run.folder.text, "test.held-out")]
    assert train == [line for line in GERMAN if line not in {target for _, target in held_out}]
    assert len(train) == 4
