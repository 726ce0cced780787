"""A network that finds the ends of sentences, in the format that Argos Translate reads; importing it needs onnx.

Argos Translate cuts text by MiniSBD, which gives a label to each character: 2 where a sentence ends. Without a network
in the package it downloads one. This one is not trained: it is the rules of `nmt.data.sentences`, as far as they look
at some characters beside a mark, as one convolution over classes of characters.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import onnx
import regex
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from nmt.data.languages import standard_code
from nmt.data.sentences import SentenceSplitter, abbreviations
from nmt.exporting.tokenizers import PLANES

NONE, END = 0, 2  # labels of MiniSBD
IR, OPSET = 8, 13  # of the year 2021, which every onnxruntime reads
NOTHING, UNKNOWN = "<PAD>", "<UNK>"  # MiniSBD's units that are no characters
ANY, SPACE, STOP, LOWER = ".", r"\s", r"\.", r"\p{Ll}"
DIGIT, ROMAN, NUMBER = r"\p{Nd}", "[IVXLC]", r"[\p{Nd}IVXLC]"
WORD, INITIAL = r"[\w\p{M}]", r"[\p{Lu}\p{Ll}\p{Lt}\p{Arabic}\p{Thai}]"
SOFT = "[,;:\u060c\u061b]"
DOTS = "[.\u2026\u2024]"
MARK = "[!?\u203c\u203d\u2047-\u2049\ufe52]"
OWN = r"(?V1)[\p{STerm}\u037e\u17d4\u17d5\u0f0d\u0f0e--[.!?\u2024\u203c\u203d\u2047-\u2049\ufe52\u104a]]"
CLOSING = "[\\p{Pe}\u201d\u2019\u203a]"
CLOSER = "[\\p{Pe}\u201d\u2019\u203a\"'\u201c\u2018\xab\xbb]"
OPENER = "[\\p{Ps}\\p{Pi}\\p{Pf}\\p{Pd}\"'\xa1\xbf*\u2022]"
MOST_CLOSERS, MOST_DIGITS = 2, 3
Numbers = np.ndarray[tuple[int, int], np.dtype[np.int64]]
Rule = dict[int, list[tuple[str, bool]]]
"""By the offset of a character from the possible end: the classes that it has to have, True, or must not have."""


def ends() -> Iterator[Rule]:
    """Yield the rules of which one must hold where a sentence ends: at the last of its marks and closing characters."""
    for closers in range(MOST_CLOSERS + 1):
        before = {-at: [(CLOSER, True)] for at in range(closers)}
        yield {**before, -closers: [(OWN, True)], 1: [(OWN, False), (CLOSER, False), (WORD, not closers)]}
        yield {**before, -closers: [(OWN, True)], 1: [(OPENER, True), (CLOSING, False)], 2: [(WORD, True)]}
        yield {**before, -closers: [(OWN, True)], 1: [(SPACE, True)], 2: [(SOFT, False)]}
        for mark, small in ((MARK, closers == 0), (DOTS, False)):
            first = [(SPACE, False), (OPENER, False), (SOFT, False), *([] if small else [(LOWER, False)])]
            ending = {**before, -closers: [(mark, True)], 1: [(SPACE, True)]}
            yield {**ending, 2: first}
            yield {**ending, 2: [(OPENER, True)], 3: first}
            yield {**ending, 2: [(OPENER, True)], 3: [(SPACE, True)], 4: first}


def no_ends(language: str) -> Iterator[Rule]:
    """Yield the rules for full stops in `language` of which none may hold where a sentence ends."""
    known, stop = abbreviations(standard_code(language)), {0: [(STOP, True)]}
    for word in known["titles"]:
        yield stop | spelled(word)
    for word in known["before_number"]:
        yield stop | spelled(word) | {2: [(NUMBER, True)]}
    yield stop | {-1: [(INITIAL, True)], -2: [(WORD, False)]}
    yield {0: [(CLOSER, True)], -1: [(STOP, True)], -2: [(INITIAL, True)], -3: [(WORD, False)]}
    counted = range(1, MOST_DIGITS + 1)
    numbers = [{-at: [(DIGIT, True)] for at in range(1, count + 1)} for count in counted]
    yield from (stop | number | {-count - 1: [(ANY, False)]} for count, number in zip(counted, numbers, strict=True))
    if standard_code(language) in known["ordinals"]:
        yield from (stop | numbers[i - 1] | {-i - 1: [(WORD, False), (STOP, False)]} for i in (1, 2))
        for count in range(1, 7):
            yield stop | {-at: [(ROMAN, True)] for at in range(1, count + 1)} | {-count - 1: [(WORD, False)]}


def finals(language: str) -> Iterator[Rule]:
    """Yield the rules for abbreviations that end a sentence as well, though they look like initials."""
    for word in abbreviations(standard_code(language))["final"]:
        yield {0: [(STOP, True)]} | spelled(word) | {1: [(SPACE, True)], 2: [(LOWER, False), (SOFT, False)]}


def spelled(word: str) -> Rule:
    """Return the rule that `word` stands, in letters of either case and as a whole, before the end."""
    letters = {-at: [(f"(?i:{regex.escape(letter)})", True)] for at, letter in enumerate(reversed(word), 1)}
    return letters | {-len(word) - 1: [(WORD, False), (STOP, False)]}


def write(path: Path, language: str) -> None:
    """Write the network for text in `language` to `path`. The same language gives the same bytes."""
    rules = [*((rule, 1) for rule in ends()), *((rule, -2) for rule in no_ends(language))]
    rules += [(rule, 4) for rule in finals(language)]
    classes = sorted({name for rule, _ in rules for of_place in rule.values() for name, _ in of_place})
    units, table = read_characters(classes)
    offsets = [offset for rule, _ in rules for offset in rule]
    left, right = -min(offsets), max(offsets)
    kernel = np.zeros((len(rules), len(classes), left + right + 1), np.float32)
    bias = np.ones(len(rules), np.float32)
    for row, (rule, _) in enumerate(rules):
        for offset, of_place in rule.items():
            for name, is_wanted in of_place:
                # One where all wanted classes are there and no other, at most zero where not.
                kernel[row, classes.index(name), left + offset] = 1 if is_wanted else -1
                bias[row] -= is_wanted
    votes = np.zeros((3, len(rules), 1), np.float32)
    votes[END, :, 0] = [vote for _, vote in rules]
    shared = {
        "table": table,
        "kernel": kernel,
        "bias": bias,
        "votes": votes,
        "least": np.array([0.5, 0, 0], np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", "units"], ["characters"]),
        helper.make_node("Transpose", ["characters"], ["columns"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["columns", "kernel", "bias"], ["sums"], pads=[left, right]),
        helper.make_node("Clip", ["sums", "zero", "one"], ["holds"]),
        helper.make_node("Conv", ["holds", "votes", "least"], ["labels"]),
        helper.make_node("Transpose", ["labels"], ["scores"], perm=[0, 2, 1]),
    ]
    shared |= {"zero": np.array(0, np.float32), "one": np.array(1, np.float32)}
    graph = helper.make_graph(
        nodes,
        "sentences",
        [
            helper.make_tensor_value_info("units", TensorProto.INT64, ["batch", "length"]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", "length", "count"]),
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", "length", 3])],
        [numpy_helper.from_array(array, name) for name, array in shared.items()],
    )
    model = helper.make_model(graph, ir_version=IR, opset_imports=[helper.make_opsetid("", OPSET)])
    vocabulary = {"lang": language, "_unit2id": units, "_id2unit": [], "idx": 0, "cutoff": 0, "lower": False}
    config = {"feat_funcs": ["capitalized"], "batch_size": 1, "max_seqlen": 1000}
    texts = {"lang_code": language, "config": json.dumps(config), "vocab": json.dumps(vocabulary)}
    helper.set_model_props(model, texts)
    path.write_bytes(model.SerializeToString(deterministic=True))


def read_characters(classes: Sequence[str]) -> tuple[dict[str, int], np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    """Return the number of each character's kind, and the kinds (kinds, classes): which `classes` each has."""
    text = "".join(map(chr, chain(*PLANES)))
    kinds_of = dict.fromkeys(text, 0)  # a bit for each class
    for bit, name in enumerate(classes):
        for character in regex.findall(f"(?s){name}", text):
            kinds_of[character] |= 1 << bit
    letter = kinds_of["\u4e00"]
    numbers = {0: 0, letter: 1}
    units = {NOTHING: 0, UNKNOWN: 1}
    for character, kind in kinds_of.items():
        if kind != letter:
            units[character] = numbers.setdefault(kind, len(numbers))
    return units, np.array([[kind >> bit & 1 for bit in range(len(classes))] for kind in numbers], np.float32)


class Splitter:
    """Cuts text by a network as MiniSBD does."""

    def __init__(self, path: Path) -> None:
        model = onnx.load(path)
        self.units = json.loads(next(item.value for item in model.metadata_props if item.key == "vocab"))["_unit2id"]
        self.network = ReferenceEvaluator(model)

    def split(self, text: str) -> list[str]:
        """Return the sentences of `text`, without the spaces between them."""
        text = regex.sub(r"\s+", " ", text).strip()
        if not text:
            return []
        units = np.array([[self.units.get(character, 1) for character in text]])
        stops = [at for at, label in enumerate(self.labels(units)[0, :-1], 1) if label == END]
        return [text[start:stop].strip() for start, stop in zip([0, *stops], [*stops, len(text)], strict=True)]

    def labels(self, units: Numbers) -> Numbers:
        """Return the label of each character (texts, length), for the numbers `units` of their kinds."""
        inputs = {"units": units, "features": np.zeros((*units.shape, 1), np.float32)}
        return np.argmax(np.asarray(self.network.run(None, inputs)), axis=-1)[0]


def differing(path: Path, texts: Sequence[str], own: SentenceSplitter) -> int:
    """Return how many of `texts` the network at `path` cuts into other sentences than `own`."""
    splitter = Splitter(path)
    as_read = [" ".join(text.split()) for text in texts]
    return sum(splitter.split(text) != [part.strip() for part in own.split(text)] for text in as_read if text)
