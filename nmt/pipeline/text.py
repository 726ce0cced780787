"""The stage `text`: corpora read, split into train, dev and tests, and cleaned."""

from collections.abc import Mapping
from uuid import uuid4

from nmt import console
from nmt.config.data import CorpusConfig, train_key
from nmt.data.cleaning.corpus_text import SyntheticText, TextPlan, write_text
from nmt.data.cleaning.funnel import TextCounts, numbers, show_funnel
from nmt.data.reading.corpus import READING
from nmt.files import JsonObject
from nmt.pipeline.manifest import Manifest, resuming
from nmt.pipeline.run import Run
from nmt.pipeline.stage import Stage, digests_of


def inputs(run: Run) -> JsonObject:
    """Return the digests of the corpora, their order, and the placeholders of the tokenizer."""
    data = run.recipe.data
    return {
        "order": list(data.training_corpora),  # which no digest of a JSON object shows
        "placeholders": run.placeholders if data.placeholders_for else None,
        "files": run.data_digests,
        **({"synthetic": digests_of(run.folder.synthetic)} if run.recipe.translated else {}),
    }


def make(run: Run, manifest: Manifest) -> None:
    """Read, split and clean."""
    commits = run.hub_commits
    # A dataset without a commit may be another one by the time that a killed run is continued.
    also = [READING, {name: commit or uuid4().hex for name, commit in commits.items()}]
    with resuming(run.folder.text, manifest, also=also) as folder:
        manifest.counts = write_text(text_plan(run, commits), folder, workers=run.workers).to_json()
        manifest.hub_commits = {name: commit for name, commit in commits.items() if commit}


def origin(run: Run) -> JsonObject | None:
    """Return the commits of the datasets of the Hub; None where one is not known."""
    return None if None in run.hub_commits.values() else dict(run.hub_commits)


def text_plan(run: Run, commits: Mapping[str, str | None]) -> TextPlan:
    """Return the plan of the text, each dataset of the Hub pinned to its commit."""

    def at_commit(name: str, corpus: CorpusConfig) -> CorpusConfig:
        return corpus.model_copy(update={"revision": commits.get(name) or corpus.revision})

    recipe, data = run.recipe, run.recipe.data
    pinned = data.model_copy(
        update={
            "train": {name: at_commit(train_key(name), corpus) for name, corpus in data.train.items()},
            "monolingual": {
                name: at_commit(f"monolingual.{name}", corpus) for name, corpus in data.monolingual.items()
            },
            "dev": data.dev and at_commit("dev", data.dev),
            "devs": {name: at_commit(f"devs.{name}", corpus) for name, corpus in data.devs.items()},
            "guard": data.guard and at_commit("guard", data.guard),
            "test": {name: at_commit(f"test.{name}", corpus) for name, corpus in data.test.items()},
        }
    )
    made = {
        name: SyntheticText(
            [run.folder.synthetic / name / str(number) for number in range(len(each.groups))],
            keep_original=each.config.keep_original and recipe.data.train[name].monolingual is None,
        )
        for name, each in recipe.translated.items()
    }
    return TextPlan(
        pinned,
        recipe.cleaning,
        recipe.languages,
        run.root,
        run.local,
        placeholders=run.placeholders,
        synthetic=made,
    )


def say(run: Run, manifest: Manifest) -> None:
    """Log the counts of the funnel, of irregularities, and of the pairs of each split."""
    counts = TextCounts.from_json(manifest.counts or {})
    show_funnel("text", counts, run.recipe.data)
    for name, anomalies in [*counts.anomalies.items(), *counts.held_out_anomalies.items()]:
        if anomalies:
            console.log(f"text: found in {name}: {numbers(anomalies)}")
    if counts.protected is not None:
        console.log(f"text: training pairs with placeholders: {counts.protected:,}")
    tests = ", ".join(f"{name} {count:,}" for name, count in counts.test.items())
    sizes = f"train {counts.pairs:,}, dev {counts.dev:,}" + (f", test {tests}" if tests else "")
    sizes += "" if counts.guard is None else f", guard {counts.guard:,}"
    console.log(f"text: {run.recipe.data.units} of {sizes}")


STAGE = Stage("text", lambda run: run.folder.text, frozenset({"text"}), inputs, make, say, origin)
