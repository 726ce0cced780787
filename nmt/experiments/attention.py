"""The attention of a run's model over a few lines of a test set, as numbers, and the alignment of their words."""

from collections.abc import Sequence

import numpy as np

from nmt.evaluation.attention_maps import AttentionMaps
from nmt.experiments.finished_run import FinishedRun
from nmt.files import JsonObject
from nmt.inference.observed import attention_maps, observe
from nmt.inference.translator import Translator

WORDS = (4, 15)  # words of the source of a line whose attention is shown, where there are such lines
MOST_MAPS = 450  # maps of weights in a report; a model of more layers and heads is shown on fewer lines
DIGITS = 3  # decimals of a weight


def attention_of(run: FinishedRun, test: str, chrf: Sequence[float]) -> list[JsonObject]:
    """Return the attention over a good, a middling and a bad translation of a test set, by the `chrf` of its lines.

    A line of several segments is shown by the first of them. Raises NmtError where the bundle cannot be loaded.
    """
    source, target = run.languages_of(test).pair
    translator = Translator.load(run.folder.bundle, device="cpu", from_=source, to=target)
    lines, found, maps = run.lines(test), list[JsonObject](), 0
    for number in chosen_lines(lines.sources, chrf):
        observed = observe(translator, lines.sources[number])
        first = attention_maps(translator, observed)[0]
        maps += sum(weights.shape[0] * weights.shape[1] for weights in first.weights.values())
        if found and maps > MOST_MAPS:
            break
        found.append(
            {
                "test": test,
                "line": number + 1,
                "chrf": chrf[number],
                "source": observed.source,
                "translation": observed.best.text,
                "reference": lines.references[number],
                "source_words": observed.source.split(),
                "translation_words": observed.best.text.split(),
                "alignment": observed.best.alignment,
                **maps_to_json(first),
            }
        )
    return found


def chosen_lines(sources: Sequence[str], chrf: Sequence[float]) -> list[int]:
    """Return the lines of the best, the middle and the worst chrF among those of a length that is easily read."""
    words = [len(source.split()) for source in sources]
    usual = [number for number, count in enumerate(words) if WORDS[0] <= count <= WORDS[1]]
    ordered = sorted(usual or [number for number, count in enumerate(words) if count], key=lambda number: -chrf[number])
    return list(dict.fromkeys([ordered[0], ordered[len(ordered) // 2], ordered[-1]])) if ordered else []


def maps_to_json(maps: AttentionMaps) -> JsonObject:
    """Return the maps that a report shows: the norms of each head are those of cross-attention alone."""
    shown = {"weights": maps.weights, "norms": {"cross": maps.norms["cross"]}, "layer_norms": maps.layer_norms}
    numbers = {
        name: {kind: np.round(each.astype(float), DIGITS).tolist() for kind, each in by_kind.items()}
        for name, by_kind in shown.items()
    }
    return {"source_pieces": maps.source, "translation_pieces": maps.target, **numbers}


def maps_from_json(values: JsonObject) -> AttentionMaps:
    """Return the maps that `maps_to_json` wrote."""
    weights, norms, layer_norms = (
        {kind: np.array(each, dtype=np.float32) for kind, each in values[name].items()}
        for name in ("weights", "norms", "layer_norms")
    )
    return AttentionMaps(values["source_pieces"], values["translation_pieces"], weights, norms, layer_norms)
