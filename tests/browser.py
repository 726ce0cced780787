"""A page as a browser shows it: headless Chromium, where it is installed."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium")
OWN = re.compile(r"https?://[^/]*\b(google|googleapis|gvt1)\.com/")  # addresses that Chromium asks for by itself
SETTINGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
    *("--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND"),
    *("--virtual-time-budget=2000", "--window-size=1000,1200"),
)
DARK = "--blink-settings=preferredColorScheme=0"
NO_SCRIPT = "--blink-settings=scriptEnabled=false"
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs `chromium` in PATH")


@dataclass(frozen=True)
class Shown:
    """What a page became in the browser."""

    dom: str
    messages: list[str]  # of the page's console, errors among them
    requests: list[str]  # the addresses that it asked for, but for its own


def open_page(page: Path, folder: Path, *options: str) -> tuple[str, str]:
    """Open `page` with a profile in `folder`; return what Chromium wrote on standard output and error."""
    assert CHROMIUM
    command = [CHROMIUM, *SETTINGS, f"--user-data-dir={folder / 'profile'}", *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    return done.stdout.decode(), done.stderr.decode(errors="replace")


def show(page: Path, folder: Path) -> Shown:
    """Open `page`, and return what became of it; no name of a host is looked up."""
    log = folder / "network.json"
    dom, said = open_page(page, folder, f"--log-net-log={log}", "--dump-dom")
    asked = set(re.findall(r'"url":"([^"]+)"', log.read_text(encoding="utf-8", errors="replace")))
    requests = [url for url in asked if re.match("https?:|wss?:|file:", url) and not OWN.match(url)]
    messages = [line for line in said.split("\n") if "CONSOLE" in line]
    return Shown(dom, messages, sorted({*requests} - {page.as_uri()}))


def picture(page: Path, folder: Path, *options: str) -> bytes:
    """Return a screenshot of the top of `page`, a PNG."""
    path = folder / "screenshot.png"
    open_page(page, folder, f"--screenshot={path}", *options)
    return path.read_bytes()
