"""API keys: a file of their hashes and quotas.

A key is 256 random bits, so that SHA-256 protects it: there is no list of likely keys to hash, which a slow hash with
a salt is made against.
"""

import hmac
import re
import secrets
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter, ValidationError

from nmt import console
from nmt.config.section import Name, first_error
from nmt.config.serving import QuotaConfig
from nmt.errors import UsageError
from nmt.files import replacing

OTHERS = 0o077  # permissions of the group and of all


class ApiKey(QuotaConfig):
    """An entry of the file, under its name."""

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """Digest of the key."""


KEYS = TypeAdapter(dict[Name, ApiKey])


class Keys:
    """The keys of a file."""

    def __init__(self, path: Path, entries: dict[str, ApiKey]) -> None:
        self.path, self.entries = path, entries

    @classmethod
    def read(cls, path: Path) -> "Keys":
        """Read a file; warn where others may read or change it. Raises UsageError."""
        hint = f"make a key: nmt key NAME {path}"
        try:
            entries = entries_of(path)
            if path.stat().st_mode & OTHERS:
                console.warn(f"{path}: others than you can read or change the keys (chmod 600 {path})")
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}", hint=hint) from None
        if not entries:
            raise UsageError(f"{path}: holds no key", hint=hint)
        return cls(path, entries)

    def find(self, key: str) -> str | None:
        """Return the name of `key`; all digests are compared, each in constant time."""
        digest = digest_of(key)
        found = [name for name, entry in self.entries.items() if hmac.compare_digest(entry.sha256, digest)]
        return found[0] if found else None


def entries_of(path: Path) -> dict[str, ApiKey]:
    """Read the entries of a file. Raises OSError, and UsageError where it is damaged."""
    try:
        return KEYS.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise UsageError(f"{path}: {first_error(error)}") from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise UsageError(f"{path}: {error}") from None


def digest_of(key: str) -> str:
    return sha256(key.encode(errors="replace")).hexdigest()


def add_key(path: Path, name: str, quotas: QuotaConfig) -> str:
    """Add a new key to the file at `path`, which is made where there is none; return the key.

    Raises UsageError, OSError.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f"{name!r} is no name of a key", hint="take letters, digits, dots, - and _")
    if name in (entries_of(path) if path.exists() else {}):
        raise UsageError(f"{path}: has a key {name} already", hint="take another name, or delete its table")
    before = path.read_text(encoding="utf-8").rstrip("\n") + "\n\n" if path.exists() else ""
    key = f"nmt_{secrets.token_urlsafe(32)}"
    entry = ApiKey(sha256=digest_of(key), **quotas.model_dump())
    values = entry.model_dump(exclude_none=True)
    lines = [
        f'["{name}"]',
        *(
            f'{field} = "{value}"' if isinstance(value, str) else f"{field} = {value}"
            for field, value in values.items()
        ),
    ]
    with replacing(path) as scratch:
        scratch.touch(mode=0o600)
        scratch.write_text(before + "\n".join(lines) + "\n", encoding="utf-8")
    return key
