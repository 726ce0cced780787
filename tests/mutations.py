"""Bundles with files that are damaged, or written by somebody who means harm, and commands that read them.

`python tests/mutations.py BUNDLE FOLDER COUNT SEED` changes copies of BUNDLE in FOLDER, and prints each fault and how
many commands ended in which way.
"""

import json
import os
import random
import resource
import shutil
import signal
import struct
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

import nmt.inference.engines.native
import nmt.pipeline.recipe_file  # noqa: F401 - once, and not in each child
from nmt import cli
from nmt.cli import LONGEST
from nmt.files import digest_file, digest_json

SECONDS, MEMORY = 60, 6 << 30  # limits of a command: processor time, and address space beyond that of the parent
LINES = ["A small dog sleeps.", "Die Frau 12 sieht\u3000das \u00bd Haus.", ""]  # read by every command
ODD: list[Any] = [
    *(
        None,
        True,
        False,
        -1,
        0,
        1,
        3,
        10**9,
        2**31,
        2**63,
        10**30,
        -0.5,
        1e300,
        "",
        " ",
        "none",
        "auto",
        "\0",
        "\ud800",
    ),
    *("../x", "/etc/passwd", "tokenizer.model", "<s>", "\u200b", "a\nb", "a" * 10_000, "\x1b[2J", "9" * 4_500),
    *([], {}, [[]], [{}], {"a": 1}, {"": []}, [None], ["<2de>"], [1, 2], {"../x": "0" * 64}),
]
TEXTS = ["", "[" * 20_000, '{"a":' * 20_000, "NaN", "null", "[]", "\ufeff{}", "{}{}", '{"format": 1e999}', "\x00" * 9]
NUMBERS = [0, 1, 127, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Change bits, bytes or blocks of `content`."""
    data = bytearray(content)
    at, size = rng.randrange(len(data) or 1), rng.choice([1, 4, 8, 64, 1000])
    match rng.randrange(8):
        case 0 | 1:
            for _ in range(rng.choice([1, 1, 3, 20])):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 2:
            del data[at:]
        case 3:
            del data[at : at + size]
        case 4:
            data[at:at] = data[at : at + size] or rng.randbytes(size)
        case 5:
            data[at : at + size] = rng.randbytes(size)
        case 6:
            data[at : at + 8] = struct.pack("<Q", rng.choice(NUMBERS))
        case 7:
            data[at : at + size] = bytes([rng.choice([0, 255])]) * size
    return bytes(data)


def mutated_json(content: bytes, rng: random.Random) -> bytes:
    """Change a value, a key or the form of a JSON file."""
    kind = rng.randrange(10)
    if kind == 0:
        return rng.choice(TEXTS).encode()
    if kind == 1:
        return content.decode().encode(rng.choice(["utf-16", "utf-8-sig", "utf-32-le"]))
    value = json.loads(content)
    places = list(within(value))
    holder, key = rng.choice(places)
    if kind == 2 and isinstance(holder, dict):
        del holder[key]
    elif kind == 3 and isinstance(holder, dict):
        holder[rng.choice([one for one in ODD if isinstance(one, str)])] = rng.choice(ODD)
    elif kind == 4:
        other, name = rng.choice(places)
        holder[key], other[name] = other[name], holder[key]
    else:
        holder[key] = rng.choice(ODD)
    return json.dumps(value).encode()


def within(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place of a JSON value: the object or list that holds it, and its key."""
    for key in list(value) if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0):
        yield value, key
        yield from within(value[key])


def mutated_tensors(content: bytes, rng: random.Random) -> bytes:
    """Change the header of a safetensors file, its length, or anything else."""
    (length,) = struct.unpack("<Q", content[:8])
    head, rest = content[8 : 8 + length], content[8 + length :]
    match rng.randrange(4):
        case 0:
            return mutated(content, rng)
        case 1:
            return struct.pack("<Q", rng.choice([*NUMBERS, length - 1, length + 1])) + head + rest
        case 2:
            head = mutated_json(head, rng)
        case 3:
            names = json.loads(head)
            tensor = names[rng.choice([name for name in names if name != "__metadata__"])]
            tensor[rng.choice(list(tensor))] = rng.choice(
                [
                    "F64",
                    "I64",
                    "BF16",
                    "I8",
                    "F32",
                    [],
                    [0],
                    [2**62, 4],
                    [0, 0],
                    [-1],
                    tensor["shape"][::-1],
                    [0, len(rest)],
                ]
            )
            head = json.dumps(names).encode()
    return struct.pack("<Q", len(head)) + head + rest


def mutate(folder: Path, rng: random.Random) -> str:
    """Change a file of the bundle in `folder`, and mostly the digests that would find it; say what was done."""
    models = {path.name: 5 for pattern in ("*.model", "*vocabulary.json") for path in sorted(folder.glob(pattern))}
    weights = {**models, "config.json": 4, "tokenizer.json": 3, "model.safetensors": 4, "lock.json": 1}
    weights |= {str(path.relative_to(folder)): 2 for path in sorted(folder.glob("exports/*/*"))}
    name = rng.choices(list(weights), list(weights.values()))[0]
    path = folder / name
    ways: dict[str, Callable[[bytes, random.Random], bytes]] = {
        ".json": mutated_json if rng.randrange(5) else mutated,
        ".safetensors": mutated_tensors,
    }
    path.write_bytes(ways.get(path.suffix, mutated)(path.read_bytes(), rng))
    signed = rng.random() < 0.85
    if signed:
        sign(folder)
    return f"{name}{' (signed)' if signed else ''}"


def sign(folder: Path) -> None:
    """Write the digests anew, as far as the cards can be read."""
    for card in (folder / "tokenizer.json", folder / "config.json", *folder.glob("exports/*/manifest.json")):
        try:
            values = json.loads(card.read_bytes())
            for name in values["files"]:
                values["files"][name] = digest_file(card.parent / name)
            if "weights" in values:
                values["weights"] = digest_file(folder / "model.safetensors")
            if "digest" in values:
                del values["digest"]
                values["digest"] = digest_json(values)
            card.write_text(json.dumps(values), encoding="utf-8")
        except (ValueError, TypeError, KeyError, OSError, RecursionError, AttributeError):
            continue


def run(arguments: list[str], folder: Path) -> tuple[int, str, str, float]:
    """Run a command in a child of this process within limits; return its exit code, or minus its signal, and words."""
    began = time.monotonic()
    (folder / "in").write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    child = os.fork()
    if not child:
        try:
            for number, name, flags in ((0, "in", os.O_RDONLY), (1, "out", os.O_WRONLY), (2, "err", os.O_WRONLY)):
                os.dup2(os.open(folder / name, flags | os.O_CREAT | os.O_TRUNC * bool(number)), number)
            sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, "rw"[number > 0]) for number in range(3))
            for signal_ in (signal.SIGINT, signal.SIGTERM):
                signal.signal(signal_, signal.SIG_DFL)
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.alarm(2 * SECONDS)
            sys.argv = ["nmt", *arguments]
            cli.main()
        except SystemExit as end:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(int(end.code or 0))
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    out, err = ((folder / name).read_bytes().decode(errors="backslashreplace") for name in ("out", "err"))
    return code, out, err, time.monotonic() - began


def fault(code: int, out: str, err: str, command: str) -> str | None:
    """Return what is wrong with the end of a command, None where nothing is."""
    if code < 0:
        return f"ended by signal {-code}"
    if code == 1 or "Traceback" in err:
        return "a traceback"
    if code:
        lines = err.splitlines()
        if code not in (2, 3, 4) or len(lines) != 1 or not lines[0].startswith("nmt: ") or not lines[0].isprintable():
            return f"exit code {code} with {len(lines)} lines"
        if len(err) > LONGEST + 10:
            return f"a message of {len(err)} characters"
    elif command in ("translate", "score") and out.count("\n") != len(LINES):
        return f"{out.count(chr(10))} lines of output"
    return None


def command_for(what: str, model: Path, rng: random.Random) -> list[str]:
    """Draw a command that reads the changed file of the bundle `model`."""
    text = str(model.parent / "in")
    cpu = ["--device", "cpu", "--threads", "1"]
    engine = ["--engine", "ctranslate2"]
    choices = [
        *[["translate", str(model), *cpu]] * 6,
        ["score", str(model), "--source", text, "--target", text, *cpu],
        ["tokenizer", "encode", str(model)],
    ]
    if "lock" in what:
        return ["recipe", "show", str(model)]
    if what.startswith("exports"):
        return [*choices[0], *engine]
    if (model / "exports").is_dir():
        choices += [["translate", str(model), *cpu, *engine]] * 4
    return rng.choice(choices)


def main(bundle: Path, folder: Path, count: int, seed: int) -> None:
    """Mutate copies of `bundle` in `folder`; print the faults, and a count of how the commands ended."""
    ends: Counter[str] = Counter()
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        model = folder / "model"
        shutil.rmtree(model, ignore_errors=True)
        shutil.copytree(bundle, model)
        what = mutate(model, rng)
        words = command_for(what, model, rng)
        code, out, err, seconds = run(words, folder)
        wrong = fault(code, out, err, words[0]) or (f"{seconds:.0f} seconds" if seconds > SECONDS else None)
        ends[wrong or f"exit code {code}"] += 1
        if wrong:
            print(f"{seed} {number}: {what}: nmt {' '.join(words)}: {wrong}: {err[-1500:]}")
    print(json.dumps(ends))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
