"""Time servers of translations: requests a second and latency of `nmt serve` and of LibreTranslate, interleaved.

    python benchmarks/serving.py --model BUNDLE --source FILE [--clients 16] [--requests 400] [--rounds 3] [--json FILE]

Both have the same model in int8, a request is one line of FILE; the bare engine translates the same lines in batches.
The clients are one process without threads, whose share of a core is measured too. LibreTranslate is the one that
`make bench-peers` has installed; it needs no network.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from decoding import table
from training import write_record

from nmt.cores import cores
from nmt.version import ROOT

LIBRETRANSLATE = ROOT / ".peers" / "libretranslate" / "bin" / "libretranslate"
TUNED = {"ARGOS_INTER_THREADS": str(cores()), "ARGOS_INTRA_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Settings by which LibreTranslate translates requests beside each other, each in a thread, as nmt does."""
EXPORT = "serving-int8"
PATIENCE = 120.0  # seconds for a server to start
Begin = tuple[list[str | Path], int, dict[str, str]]
"""How a server is started: its command, its port and its environment."""
TICKS = os.sysconf("SC_CLK_TCK")


def read_lines(path: Path, count: int) -> list[str]:
    """Return `count` lines of `path` that are not blank, from the start again where there are fewer."""
    from nmt.data.reading.archives import read_lines

    return list(islice(cycle([line for line in read_lines(path) if line.strip()]), count))


async def load(port: int, lines: list[str], pair: tuple[str, str], clients: int) -> list[float]:
    """Send a request for each line over `clients` connections, each one at a time; return the seconds of each."""
    seconds: list[float] = []
    waiting = iter(lines)

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for line in waiting:
            body = json.dumps({"q": line, "source": pair[0], "target": pair[1]}).encode()
            head = f"POST /translate HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            began = time.perf_counter()
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(answer.split(b"content-length:")[1].split(b"\r\n")[0])
            text = json.loads(await reader.readexactly(length))
            seconds.append(time.perf_counter() - began)
            if "translatedText" not in text:
                raise RuntimeError(f"port {port}: {line!r}: {text}")
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return seconds


def run_clients(options: argparse.Namespace) -> None:
    """Be the clients' process: print the seconds of the requests, of all of them, and of the processor."""
    lines = json.load(sys.stdin)
    began = time.perf_counter()
    seconds = asyncio.run(load(options.port, lines, tuple(options.pair), options.clients))
    wall = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"seconds": seconds, "wall": wall, "client": used.ru_utime + used.ru_stime}))


def run_bare(options: argparse.Namespace) -> None:
    """Be the bare engine's process: translate the lines of each line of standard input; print the seconds."""
    from nmt.inference.translator import Translator

    translator = Translator.load(options.model, engine="ctranslate2", export=EXPORT)
    for given in sys.stdin:
        lines = json.loads(given)
        began = time.perf_counter()
        sum(1 for _ in translator.stream(lines))
        print(time.perf_counter() - began, flush=True)


class Server:
    """A server that runs, and the figures of its turns."""

    def __init__(self, command: list[str | Path], port: int, environment: dict[str, str], folder: Path) -> None:
        self.port = port
        self.turns: list[dict[str, Any]] = []
        began = time.perf_counter()
        self.process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.command = command
        self.began = began

    def wait(self, line: str, pair: tuple[str, str]) -> None:
        """Wait for the first translation."""
        while True:
            try:
                asyncio.run(load(self.port, [line], pair, 1))
                break
            except OSError:
                if self.process.poll() is not None or time.perf_counter() - self.began > PATIENCE:
                    sys.exit(f"{self.command[0]}: did not start")
                time.sleep(0.01)
        self.start, self.start_cpu = time.perf_counter() - self.began, self.cpu()

    def cpu(self) -> float:
        """Return the seconds of the processor that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> float:
        """Return its peak of resident memory, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def turn(self, lines: list[str], pair: tuple[str, str], clients: int) -> None:
        """Let clients send `lines`, and keep the figures."""
        before = self.cpu()
        command = [sys.executable, __file__, "--port", str(self.port), "--pair", *pair, "--clients", str(clients)]
        done = subprocess.run(command, input=json.dumps(lines), stdout=subprocess.PIPE, text=True, check=True)
        self.turns.append({**json.loads(done.stdout), "server": self.cpu() - before})

    def figures(self) -> dict[str, float]:
        """Return medians over the turns."""
        found = [
            {
                "requests_per_second": len(turn["seconds"]) / turn["wall"],
                "p50_ms": 1000 * statistics.median(turn["seconds"]),
                "p95_ms": 1000 * statistics.quantiles(turn["seconds"], n=20)[-1],
                "client_cores": turn["client"] / turn["wall"],
                "server_cores": turn["server"] / turn["wall"],
                "server_ms_per_request": 1000 * turn["server"] / len(turn["seconds"]),
            }
            for turn in self.turns
        ]
        medians = {name: statistics.median(turn[name] for turn in found) for name in found[0]}
        return {**medians, "start_s": self.start, "start_cpu_s": self.start_cpu, "memory_mib": self.memory()}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(command: list[str | Path], port: int, environment: dict[str, str], folder: Path) -> Iterator[Server]:
    server = Server(command, port, environment, folder)
    try:
        yield server
    finally:
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(30)


def libretranslate(package: Path, folder: Path, pair: tuple[str, str]) -> Begin:
    """Prepare a home for LibreTranslate with `package` alone; return its command, port and environment."""
    home = folder / "data" / "argos-translate"
    with zipfile.ZipFile(package) as archive:
        archive.extractall(home / "packages")
    (home / "index.json").write_text("[]", encoding="utf-8")  # or it asks the network for one, again and again
    places = {
        "XDG_DATA_HOME": folder / "data",
        "XDG_CONFIG_HOME": folder / "config",
        "XDG_CACHE_HOME": folder / "cache",
    }
    environment = {**os.environ, "HOME": str(folder), **{name: str(place) for name, place in places.items()}}
    port = free_port()
    return [LIBRETRANSLATE, "--port", str(port), "--load-only", ",".join(pair)], port, environment


def export(model: Path, folder: Path, sample: Path) -> tuple[Path, Path]:
    """Copy `model` to `folder` with an export in int8; return it, and the package of Argos Translate."""
    bundle, package = folder / "model", folder / "model.argosmodel"
    shutil.copytree(model, bundle, ignore=shutil.ignore_patterns("exports"))
    int8 = ["--quantization", "int8", "--sample", str(sample)]
    for options in (["ctranslate2", "--name", EXPORT], ["argos", "-o", str(package)]):
        command = [sys.executable, "-m", "nmt", "export", str(bundle), *int8, "--to", *options]
        subprocess.run(command, check=True)
    return bundle, package


def measure(options: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    """Return the figures of all contestants."""
    from nmt.inference.bundle import open_bundle

    lines = read_lines(options.source, options.requests)
    sample = folder / "sample"
    sample.write_text("\n".join(lines[:100]) + "\n", encoding="utf-8")
    bundle, package = export(options.model, folder, sample)
    pair = open_bundle(bundle).config.languages.pair
    port = free_port()
    serve: list[str | Path] = ["serve", bundle, "--engine", "ctranslate2", "--export", EXPORT, "--port", str(port)]
    servers: dict[str, Server] = {}
    bare: list[float] = []
    with ExitStack() as stack:
        begin: dict[str, Begin] = {"nmt": ([sys.executable, "-m", "nmt", *serve], port, dict(os.environ))}
        if LIBRETRANSLATE.exists():
            begin["libretranslate"] = libretranslate(package, folder / "home", pair)
            command, at, environment = libretranslate(package, folder / "tuned", pair)
            begin["libretranslate-tuned"] = command, at, environment | TUNED
        for name, (command, at, environment) in begin.items():
            servers[name] = stack.enter_context(running(command, at, environment, folder))
            servers[name].wait(lines[0], pair)
        command = [sys.executable, __file__, "--bare", "--model", str(bundle)]
        engine = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        )
        assert engine.stdin
        assert engine.stdout
        for turn in range(options.rounds + 1):
            for server in servers.values():
                server.turn(lines if turn else lines[: 4 * options.clients], pair, options.clients)
            print(json.dumps(lines), file=engine.stdin, flush=True)
            bare.append(float(engine.stdout.readline()))
        engine.stdin.close()
        for server in servers.values():
            server.turns = server.turns[1:]  # the first warms up
        found = {name: server.figures() for name, server in servers.items()}
    return {**found, "bare": {"requests_per_second": len(lines) / statistics.median(bare[1:])}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a bundle")
    parser.add_argument("--source", type=Path, help="lines of text in its source language")
    parser.add_argument("--clients", type=int, default=16, help="requests at the same time")
    parser.add_argument("--requests", type=int, default=400, help="requests of a turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contestant")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save the figures here")
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--pair", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.port:
        return run_clients(options)
    if options.bare:
        return run_bare(options)
    if not options.model or not options.source:
        parser.error("--model and --source are needed")
    with tempfile.TemporaryDirectory(prefix="nmt-serving-") as folder:
        figures = measure(options, Path(folder))
    names = list(dict.fromkeys(name for found in figures.values() for name in found))
    table(
        ["", *names],
        [[who, *(f"{found[name]:.2f}" if name in found else "" for name in names)] for who, found in figures.items()],
    )
    if options.json:
        left_out = {} if "libretranslate" in figures else {"libretranslate": "not installed: make bench-peers"}
        effort = {name: getattr(options, name) for name in ("clients", "requests", "rounds")}
        write_record(options.json, figures, left_out, {**effort, "threads": cores()})
    return None


if __name__ == "__main__":
    main()
