"""The stage `synthetic`: pairs that models make of monolingual text, or of the sides of other pairs."""

from collections import Counter
from pathlib import Path
from uuid import uuid4

from nmt import console
from nmt.config.data import CorpusConfig, train_key
from nmt.data.cleaning.funnel import numbers
from nmt.data.reading.corpus import READING
from nmt.devices import kind_of_device
from nmt.errors import DataError, StorageError
from nmt.files import JsonObject, remove
from nmt.inference.report import WARNINGS
from nmt.pipeline.manifest import Manifest, resuming, work_folder
from nmt.pipeline.run import Run
from nmt.pipeline.stage import Stage
from nmt.pipeline.synthetic_pairs import LOW, PairWriter, Turns, cards_of, choose_pairs
from nmt.pipeline.text import text_plan
from nmt.pipeline.translators import Maker

SCORED = "scored"  # folder of the pairs to choose from; removed when those that stay are written
READ = {*CorpusConfig.model_fields, "monolingual", "language"}
"""The keys of a corpus that say what is read."""


def inputs(run: Run) -> JsonObject:
    """Return, of each corpus that is translated, where it comes from, and the digests of its files and models."""
    corpora = {}
    for name, translated in run.recipe.translated.items():
        corpus, digests = run.recipe.data.train[name], run.data_digests[train_key(name)]
        corpora[name] = {
            "read": corpus.model_dump(include=READ - {"tags"}, exclude_defaults=True),
            "files": {file: digest for file, digest in digests.items() if file not in translated.names},
            "models": [[digests[model] for model in group] for group in translated.groups],
            "scorer": translated.config.score_with and digests[translated.config.score_with],
        }
    languages, train = run.recipe.languages, run.recipe.data.train
    keeps_codes = any(train[name].codes == "placeholders" for name in corpora)
    kept = {"placeholders": run.placeholders} if keeps_codes else {}
    return {**kept, "corpora": corpora, "languages": languages.directions or list(languages.pair)}


def make(run: Run, manifest: Manifest) -> None:
    """Translate, in turns with the other ranks, and choose the pairs that stay; the first rank does."""
    run.open_makers(all_needed=True)  # before the pairs that there are make place
    run.ranks.any(True)  # the other ranks wait for it in `join`
    commits = run.hub_commits
    also = [READING, {name: commit or uuid4().hex for name, commit in commits.items()}]
    with resuming(run.folder.synthetic, manifest, also=also) as folder:
        run.ranks.barrier()
        shards, odd = translate(run, folder)
        run.ranks.barrier()
        manifest.counts = {"corpora": finish(folder, shards), "odd": odd}
        manifest.hub_commits = {name: commit for name, commit in commits.items() if commit and is_read(run, name)}
        remove(folder / SCORED)


def join(run: Run) -> None:
    """Translate in turns with the first rank as often as it makes the stage. Raises StorageError, RankError."""
    while run.ranks.any(False)[0]:
        folder = work_folder(run.folder.synthetic) / "made"
        run.ranks.barrier()
        if not folder.is_dir():
            hint = "the run folder must lie on a disk that all ranks share"
            raise StorageError(f"{folder}: not seen by rank {run.ranks.rank}", hint=hint)
        translate(run, folder)
        run.ranks.barrier()


def translate(run: Run, folder: Path) -> tuple[list[tuple[Maker, int]], dict[str, Counter[str]]]:
    """Make the missing shards in `folder` whose turn it is.

    Return the number of shards of each maker, and what was found in each corpus while it was read.
    """
    plan, turns = text_plan(run, run.hub_commits), Turns(run.ranks)
    config = run.recipe.training
    shards, odd = [], dict[str, Counter[str]]()
    for maker in run.open_makers(all_needed=True):
        odd[maker.corpus] = Counter()  # of several makers, which read the same
        pairs = plan.read(plan.data.train[maker.corpus], "train", odd[maker.corpus])
        writer = PairWriter(maker, made_in(folder, maker), config.device, config.threads)
        shards.append((maker, writer.make(pairs, turns)))
    return shards, odd


def made_in(folder: Path, maker: Maker) -> Path:
    """Return the folder where the shards of `maker` are made."""
    return maker.shards(folder / SCORED if maker.config.is_filtered else folder)


def finish(folder: Path, shards: list[tuple[Maker, int]]) -> JsonObject:
    """Choose the pairs that stay; return the counts of each corpus. Raises DataError where a corpus has no pair."""
    counts: JsonObject = {}
    for maker, count in shards:
        made = made_in(folder, maker)
        total = counts.setdefault(maker.corpus, {"lines": 0, "pairs": 0, "dropped": Counter(), "found": Counter()})
        for card in cards_of(count, made):
            total["lines"] += card["lines"]
            total["pairs"] += card["rows"]
            total["dropped"].update(card["dropped"])
            total["found"].update(card["found"])
        if maker.config.is_filtered:
            low = choose_pairs(maker, count, made, maker.shards(folder))
            total["pairs"] -= low
            total["dropped"][LOW] += low
    for corpus, total in counts.items():
        if not total["pairs"]:
            dropped = ", ".join(f"{name} {number:,}" for name, number in total["dropped"].items())
            raise DataError(f"{corpus}: no synthetic pair of {total['lines']:,} lines; dropped: {dropped}")
    return counts


def is_read(run: Run, name: str) -> bool:
    """Return whether the corpus `name`, as `Run.corpora` calls it, is translated."""
    return name in {train_key(corpus) for corpus in run.recipe.translated}


def origin(run: Run) -> JsonObject | None:
    """Return the kind of device, and the commits of the datasets of the Hub; None where one is not known."""
    commits = {name: commit for name, commit in run.hub_commits.items() if is_read(run, name)}
    return None if None in commits.values() else {"device": kind_of_device(run.recipe.training.device), **commits}


def say(run: Run, manifest: Manifest) -> None:
    """Log the counts of each corpus, and warn of translations that look wrong."""
    for corpus, counts in ((manifest.counts or {}).get("corpora") or {}).items():
        console.log(f"synthetic: {corpus}: {counts['pairs']:,} pairs of {counts['lines']:,} lines{listed(counts)}")
        for kind, count in counts["found"].items():
            console.warn(f"{corpus}: {WARNINGS.get(kind, kind)}: {count:,}")
    # Of pairs that stay the text says it.
    for corpus, found in ((manifest.counts or {}).get("odd") or {}).items():
        translated = run.recipe.translated[corpus]
        if found and not (translated.config.keep_original and run.recipe.data.train[corpus].monolingual is None):
            console.log(f"synthetic: found in {corpus}: {numbers(found)}")


def listed(counts: JsonObject) -> str:
    dropped = ", ".join(f"{name} {count:,}" for name, count in counts["dropped"].items() if count)
    return f"; dropped: {dropped}" if dropped else ""


STAGE = Stage(
    "synthetic",
    lambda run: run.folder.synthetic,
    frozenset({"synthetic"}),
    inputs,
    make,
    say,
    origin,
    is_wanted=lambda run: bool(run.recipe.translated),
)
