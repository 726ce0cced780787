"""A terminal on which a command runs: its own pseudo-terminal of 80 columns."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from pathlib import Path

from conftest import command, environment
from processes import PATIENCE

TYPED_END = b"\x04"
"""Ctrl-D."""


def on_terminal(
    *arguments: str | Path, cwd: Path, typed: bytes = b"", after: str = "", columns: int = 80, no_color: bool = False
) -> tuple[int, str]:
    """Run `nmt` on a terminal; type something once `after` has appeared. Return the exit code and all it showed."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    env = {key: value for key, value in environment().items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    env |= {"TERM": "xterm-256color", **({"NO_COLOR": "1"} if no_color else {})}
    with subprocess.Popen(command(*arguments), stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=env) as process:
        os.close(slave)
        shown, end = b"", time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if not select.select([master], [], [], 0.05)[0]:
                continue
            try:
                shown += os.read(master, 1 << 16)
            except OSError:  # the process has ended, and with it the other side
                break
            if typed and after.encode() in shown:
                os.write(master, typed)
                typed = b""
        os.close(master)
        process.wait(PATIENCE)
    return process.returncode, shown.decode().replace("\r\n", "\n")


def without_codes(text: str) -> str:
    """Return what a terminal showed without its colours and cursor movements."""
    return re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", text)
