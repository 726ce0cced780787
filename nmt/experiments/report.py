"""The report of a run, or of several together: one HTML file that needs nothing else, and its figures as JSON."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from nmt import console
from nmt.config.section import cut
from nmt.data.cleaning.funnel import percent
from nmt.errors import UsageError
from nmt.evaluation.line_scores import ScoresBeside
from nmt.experiments import pictures
from nmt.experiments.attention_pictures import attention_pictures
from nmt.experiments.compare import Compared, compare_runs
from nmt.experiments.compared_scores import compare_scores
from nmt.experiments.facts import curves_of, facts_of
from nmt.experiments.finished_run import FinishedRun
from nmt.files import Json, JsonObject, check_output, digest_file, is_missing, read_record, write_json, write_text
from nmt.locks import READ_ONLY
from nmt.run_folder import RunFolder
from nmt.runtime import code
from nmt.version import __version__

FORMAT = 1  # of the JSON
HERE = Path(__file__).parent
CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that HTML may not hold; lines have no line feeds."""
SHOWN = 8  # lines of each test set on which runs differ most
SECTIONS = {
    "summary": "Summary",
    "scores": "Scores",
    "training": "Training",
    "data": "Data",
    "quality": "Quality",
    "translations": "Translations",
    "attention": "Attention",
    "lock": "Lock",
}
COMPARED = {
    "runs": "Runs",
    "scores": "Scores",
    "training": "Training",
    "differences": "Differences",
    "lines": "Lines that differ most",
}
GROUPS = {"by_length": "words of the source", "by_frequency": "occurrences of the rarest word in training"}
"""The groups of the analysis that are drawn, and what distinguishes them."""


def report_of(folder: Path, beside: ScoresBeside | None = None) -> JsonObject:
    """Return everything that the report of a run says, as one JSON object; warn of what is missing in its folder.

    `beside` has scores of lines that were made elsewhere. Raises what `FinishedRun.open` raises.
    """
    run = FinishedRun.open(folder)
    facts = facts_of(run, beside)
    for missing in facts["missing"]:
        console.warn(f"{folder}: left out of the report: {missing}")
    about = {"format": FORMAT, "nmt": __version__, "made_from": [made_from(run.folder)]}
    return readable({**about, "runs": [facts]})


def comparison_of(runs: Sequence[Compared], tests: Sequence[str], beside: ScoresBeside | None = None) -> JsonObject:
    """Return everything that the report of several runs says on `tests`, the first run being the baseline.

    `beside` is as in `compare_scores`. Raises UsageError where the runs cannot be compared.
    """
    finished = [run.run for run in runs if run.run]
    if len(finished) < len(runs):
        lock = next(run.path for run in runs if not run.run)
        raise UsageError(f"{lock}: a lock, not a run folder", hint="name the run folder; `nmt compare` takes locks")
    differences = {key: value for key, value in asdict(compare_runs(runs)).items() if key not in ("runs", "curves")}
    scores = compare_scores(runs, tests, beside=beside, lines=SHOWN)
    languages = runs[0].recipe.languages
    facts = {
        "format": FORMAT,
        "nmt": __version__,
        "made_from": [made_from(run.folder) for run in finished],
        "source": languages.source,
        "target": languages.target,
        "runs": [{"name": run.name, "curves": curves_of(each)} for run, each in zip(runs, finished, strict=True)],
        **differences,
        "said": [*differences["said"], *scores.said],
        "scores": asdict(scores),
    }
    return readable(facts)


def made_from(folder: RunFolder) -> JsonObject:
    """Return the digests of the files that a report is made from, and of nmt's code."""
    files = [folder.lock, folder.log, folder.scores, folder.evaluation / "manifest.json"]
    return {"code": code()["source"], **{path.name: digest_file(path) for path in files if not is_missing(path)}}


def readable(value: Json) -> Json:
    """Return a JSON value whose texts are valid in UTF-8 and HTML: other characters are written as escapes."""
    if isinstance(value, dict):
        return {readable(key): readable(each) for key, each in value.items()}
    if hasattr(value, "_asdict"):  # a named tuple
        return readable(value._asdict())
    if isinstance(value, list | tuple):
        return [readable(each) for each in value]
    if not isinstance(value, str):
        return value
    text = value.encode("utf-8", "backslashreplace").decode("utf-8")
    return CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def write_report(facts: JsonObject, path: Path) -> None:
    """Write the page to `path` and the facts to a JSON file beside it. Raises OSError where that cannot be done."""
    check_output(path)
    write_text(path, page(facts))
    write_json(path.with_suffix(".json"), facts)


def page(facts: JsonObject) -> str:
    """Return the HTML of a report."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {
        "count": "{:,}".format,
        "fixed": "{:.2f}".format,
        "score": lambda value, metric, sign="": console.figure(metric, value, sign),
        "p": "{:.4f}".format,
        "value": lambda value: "not recorded" if value in (None, "") else cut(str(value)),
        "metric": console.metric_name,
        "share": percent,
        "width": lambda count, of: round(100 * count / max(of, 1), 2),
        "duration": console.duration,
        "words": lambda name: name.replace("_", " "),
        "tag": lambda code: code.replace("_", "-"),
    }
    css = Markup((HERE / "report.css").read_text(encoding="utf-8"))
    return environment.get_template("overlay.html" if "scores" in facts else "report.html").render(
        **facts, **content_of(facts), css=css, groups=GROUPS
    )


def content_of(facts: JsonObject) -> JsonObject:
    """Return the title, the description, the sections and the pictures of a report."""
    runs = facts["runs"]
    if "scores" not in facts:
        return {
            "title": f"Report of the run {runs[0]['name']}",
            "description": runs[0]["description"],
            "sections": sections_of(runs[0]),
            "pictures": pictures_of(runs[0]),
        }
    has = {
        "training": any(run["curves"] for run in runs),
        "lines": any(found["lines"] for found in facts["scores"]["lines"].values()),
    }
    return {
        "title": f"{len(runs)} runs compared",
        "description": "",
        "sections": {name: title for name, title in COMPARED.items() if has.get(name, True)},
        "pictures": {
            "curves": pictures.overlaid_pictures(runs),
            "swatches": [pictures.swatch(number) for number in range(len(runs))],
        },
    }


def sections_of(run: JsonObject) -> dict[str, str]:
    """Return the titles of the sections by their ids, of those that have content."""
    empty = {
        **dict.fromkeys(("scores", "translations"), not run["tests"]),
        "training": not run["curves"],
        "data": not (run["funnel"] or run["lengths"]),
        "quality": not any(test["analysis"] for test in run["tests"].values()),
        "attention": not run["attention"],
    }
    return {name: title for name, title in SECTIONS.items() if not empty.get(name)}


def pictures_of(run: JsonObject) -> JsonObject:
    """Draw the pictures of a run."""
    lengths = run["lengths"]
    analyses = {test: found["analysis"] for test, found in run["tests"].items() if found["analysis"]}
    return {
        "curves": pictures.curve_pictures(run["curves"], run["dev_sets"]),
        "lengths": pictures.length_picture(lengths, run["source"], run["target"]) if lengths else None,
        "groups": {test: group_pictures(test, analysis) for test, analysis in analyses.items()},
        "reliability": {
            test: pictures.reliability_picture(test, found["reliability"])
            for test, found in run["tests"].items()
            if found["reliability"]
        },
        "attention": [attention_pictures(number, line) for number, line in enumerate(run["attention"], 1)],
    }


def group_pictures(test: str, analysis: JsonObject) -> dict[str, Markup]:
    return {
        title: pictures.groups_picture(test, analysis[key], title) for key, title in GROUPS.items() if analysis[key]
    }


def report_after_run(folder: RunFolder) -> None:
    """Write the report of a run that has just ended, if its facts have changed, and say where it is.

    Nothing that fails here fails the run, which is done: a failure is a warning. In a folder that cannot be written
    nothing is done.
    """
    path = folder.path / "report.html"
    try:
        facts = read_record(path.with_suffix(".json"), "made_from")
        if is_missing(path) or not facts or facts["made_from"] != [made_from(folder)]:
            check_output(path)
            write_report(report_of(folder.path), path)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in READ_ONLY:
            return
        console.trace()
        console.warn(f"the report was not written: {type(error).__name__}: {error}")
    else:
        console.heading("Report:", f" {path}")
