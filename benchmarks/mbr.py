"""BLEU, chrF and time of minimum Bayes risk decoding beside the beam.

    python benchmarks/mbr.py MODEL SOURCE REFERENCE --lines 500

translates the first lines of a test set by the beam, and by MBR of samples and of the n best, and prints a table.
Seconds are those of one core's work, whatever else the machine does.
"""

import argparse
import os
import time
from itertools import islice
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from nmt import Translator
from nmt.data.reading.archives import read_lines
from nmt.evaluation.metrics import score

SETTINGS: dict[str, dict[str, object]] = {
    "beam": {},
    **{
        f"{count} samples, temperature {t}": {"mbr": count, "mbr_temperature": t} for count, t in ((16, 1.0), (32, 1.0))
    },
    **{
        f"{count} samples, temperature {t}": {"mbr": count, "mbr_temperature": t} for count, t in ((16, 0.6), (32, 0.6))
    },
    **{f"{count} best": {"mbr": count, "mbr_from": "n_best", "beam_size": count} for count in (8, 16)},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--lines", type=int, default=500)
    parser.add_argument("--precision", default="float32")
    given = parser.parse_args()
    sources, references = (list(islice(read_lines(path), given.lines)) for path in (given.source, given.reference))
    print("| Decoding | BLEU | chrF | CPU seconds |\n|---|---|---|---|")
    for name, settings in SETTINGS.items():
        decoding = {**settings, "precision": given.precision}
        translator = Translator.load(given.model, decoding=decoding, device="cpu", threads=1)
        began = time.process_time()
        hypotheses = [translation.text for translation in translator.stream(sources)]
        seconds = time.process_time() - began
        scores = score(hypotheses, [references], metrics=("bleu", "chrf"))
        figures = f"{scores['bleu']['score']:.2f} | {scores['chrf']['score']:.2f} | {seconds:.1f}"
        print(f"| {name} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
