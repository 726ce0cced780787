"""Measure `nmt learn` on 100 corrections: how many are then right, what other sentences gain and lose, and the time.

    python benchmarks/corrections.py runs/general-en-de/model DATA FOLDER [--post-edit] [--swap] [options of nmt learn]

Held-out captions, in whose references frequent nouns are replaced by others throughout, stand for a customer who wants
other terms: 100 are corrections, 100 others with the same terms show whether the terms were learned, and captions
without them, together with text of other domains, are the general dev. See README.md for the command and the results.
"""

import argparse
import gzip
import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from nmt.evaluation.metrics import score
from nmt.inference.translator import Translator

TERMS = {
    **{"Frau": "Dame", "Mädchen": "Mädel", "Junge": "Bub", "Straße": "Fahrbahn", "Gruppe": "Schar"},
    **{"Hund": "Vierbeiner", "Hemd": "Oberteil", "Wasser": "Nass", "Fahrrad": "Velo", "Ball": "Spielball"},
    **{"Strand": "Badestrand", "Gebäude": "Bauwerk", "Jacke": "Joppe", "Gitarre": "Klampfe", "Tisch": "Esstisch"},
}
"""Frequent nouns of the captions, and what the customer wants in their place, of the same gender."""
WORD = re.compile(rf"\b({'|'.join(TERMS)})\b")
CAPTIONS = ("multi30k/test_2016_flickr", "multi30k/val")
OTHERS = ("tatoeba/test", "docs/valid")
COUNT = 100  # corrections, and further sentences
DEV = {"captions": 150, "others": 175}  # general pairs, of the captions and of each other domain
TARGETS = {"seconds": 60, "right": 60, "chrF": 2.0, "BLEU": -0.3}
Pair = tuple[str, str]


def read(data: Path, name: str) -> Iterator[Pair]:
    """Yield the pairs of a test set without blanks and tabs, in an order by digest."""
    source_lines, target_lines = (gzip.decompress((data / f"{name}.{code}.gz").read_bytes()) for code in ("en", "de"))
    lines = (side.decode("utf-8").removesuffix("\n").split("\n") for side in (source_lines, target_lines))
    pairs = [(source.strip(), target.strip()) for source, target in zip(*lines, strict=True)]
    unique = {source: target for source, target in pairs if source and target and "\t" not in source + target}
    return iter(sorted(unique.items(), key=lambda pair: hashlib.sha256(pair[0].encode()).digest()))


def split(data: Path) -> dict[str, list[Pair]]:
    """Return corrections, further sentences that need the same terms, and the general dev."""
    captions = [pair for name in CAPTIONS for pair in read(data, name)]
    with_terms = {term: [pair for pair in captions if term in WORD.findall(pair[1])] for term in TERMS}
    chosen: dict[str, str] = {}
    while len(chosen) < 2 * COUNT:  # a sentence of each term in turn
        for pairs in with_terms.values():
            while pairs and pairs[-1][0] in chosen:
                pairs.pop()
            if pairs and len(chosen) < 2 * COUNT:
                source, target = pairs.pop()
                chosen[source] = WORD.sub(lambda found: TERMS[found[0]], target)
    pairs = list(chosen.items())
    plain = [pair for pair in captions if not WORD.search(pair[1])]
    general = plain[: DEV["captions"]] + [pair for name in OTHERS for pair in [*read(data, name)][: DEV["others"]]]
    return {"corrections": pairs[::2], "further": pairs[1::2], "dev": general}


def translate(model: Path, pairs: Sequence[Pair]) -> list[str]:
    return Translator.load(model).translate_all([source for source, _ in pairs])


def chrf(hypotheses: Sequence[str], pairs: Sequence[Pair]) -> float:
    return score(hypotheses, [[target for _, target in pairs]], metrics=("chrf",))["chrf"]["score"]


def wanted_terms(hypotheses: Sequence[str], pairs: Sequence[Pair]) -> str:
    """Return how many of the wanted terms of the references the translations have."""
    wanted = [
        (line, term)
        for line, (_, target) in zip(hypotheses, pairs, strict=True)
        for term in TERMS.values()
        if re.search(rf"\b{term}\b", target)
    ]
    return f"{sum(term in line for line, term in wanted)} of {len(wanted)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a bundle, English to German, within its run folder")
    parser.add_argument("data", type=Path, help="the folder with multi30k, tatoeba and docs")
    parser.add_argument("folder", type=Path, help="where the files and the new bundle go; it must not hold one yet")
    parser.add_argument("--post-edit", action="store_true", help="correct the terms of the model's translations alone")
    parser.add_argument("--swap", action="store_true", help="learn from the further sentences, and test the others")
    arguments, options = parser.parse_known_args()
    sets = split(arguments.data)
    if arguments.swap:
        sets["corrections"], sets["further"] = sets["further"], sets["corrections"]
    before = translate(arguments.model, sets["further"])
    if arguments.post_edit:
        outputs = translate(arguments.model, sets["corrections"])
        edited = [WORD.sub(lambda found: TERMS[found[0]], line) for line in outputs]
        sets["corrections"] = [(pair[0], line) for pair, line in zip(sets["corrections"], edited, strict=True)]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    files = {name: arguments.folder / f"{name}.tsv" for name in sets}
    for name, pairs in sets.items():
        files[name].write_text("".join(f"{source}\t{target}\n" for source, target in pairs), encoding="utf-8")
    output = arguments.folder / "learned"
    command = [*(sys.executable, "-m", "nmt", "learn", arguments.model, files["corrections"]), "-o", output, "--json"]
    began = time.monotonic()
    done = subprocess.run([*command, "--dev", files["dev"], *options], stdout=subprocess.PIPE, text=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode:
        sys.exit(done.returncode)
    found = json.loads(done.stdout)
    after = translate(output, sets["further"])
    rows = [
        ("seconds", f"{seconds:.1f}", f"at most {TARGETS['seconds']}"),
        ("corrections right", f"{found['right'][0]} -> {found['right'][1]} of {COUNT}", f"at least {TARGETS['right']}"),
        (
            "chrF of further sentences",
            f"{chrf(before, sets['further']):.2f} -> {chrf(after, sets['further']):.2f}",
            f"+{TARGETS['chrF']}",
        ),
        (
            "their wanted terms",
            f"{wanted_terms(before, sets['further'])} -> {wanted_terms(after, sets['further'])}",
            "",
        ),
    ]
    general = [found[key]["general"]["bleu"]["score"] for key in ("before", "after")]
    rows.append(("BLEU of the general dev", f"{general[0]:.2f} -> {general[1]:.2f}", f"{TARGETS['BLEU']}"))
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
