"""Invented names, numbers, codes and addresses, the same on both sides, so that a model learns to copy what is rare."""

import random
import re
import string

from nmt.data.augmenting.aligned_pair import AlignedPair
from nmt.data.pairs import Pair

REPLACED = 0.7  # share of the pairs with a name or number on both sides in which it is replaced
_FINAL = re.compile(r"\s*[.!?\u2026\u3002\uff01\uff1f\u061f\u06d4\u0964]*\s*$")
_UNSPACED = re.compile(r"[\u3001-\u30ff\u3400-\u9fff]")
_CONSONANTS, _VOWELS = "bdfgklmnprstvwz", "aeiou"
_SITES = ("com", "org", "net", "info", "eu")


def with_copied_token(aligned: AlignedPair, rng: random.Random) -> Pair:
    """Return the pair with an invented token on both sides.

    It replaces a name or a number that is written alike on both sides and aligned, or follows in brackets at the end.
    """
    same = [
        (i, j)
        for i, j in aligned.single_links
        if aligned.word(0, i) == aligned.word(1, j) and _is_name_or_number(aligned.word(0, i))
    ]
    source, target = aligned.pair
    if not same or rng.random() >= REPLACED:
        token = rng.choice((_code, _address, _mail, _name, _number))(rng)
        return _appended(source, token), _appended(target, token)
    i, j = rng.choice(same)
    old = aligned.word(0, i)
    token = _name(rng) if old.isalpha() else _like_number(old, rng)
    (start, end), (first, last) = aligned.spans[0][i], aligned.spans[1][j]
    return source[:start] + token + source[end:], target[:first] + token + target[last:]


def _is_name_or_number(word: str) -> bool:
    return (word.isalpha() and word[0].isupper() and len(word) > 1) or word.isdecimal()


def _appended(line: str, token: str) -> str:
    """Return `line` with the token in brackets before its final mark."""
    text = _FINAL.sub("", line)
    space = "" if _UNSPACED.match(text[-1:]) else " "
    return f"{text}{space}({token}){line[len(text) :]}"


def _name(rng: random.Random) -> str:
    syllables = (rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(rng.randint(2, 3)))
    return ("".join(syllables) + rng.choice(["", "n", "r", "s", "l", "x"])).capitalize()


def _number(rng: random.Random) -> str:
    return str(rng.randint(10, 10 ** rng.randint(2, 7)))


def _like_number(number: str, rng: random.Random) -> str:
    """Return a number of as many digits."""
    first = rng.choice("123456789")
    return first + "".join(rng.choice(string.digits) for _ in number[1:])


def _code(rng: random.Random) -> str:
    letters = "".join(rng.choice(string.ascii_uppercase) for _ in range(rng.randint(1, 4)))
    digits = "".join(rng.choice(string.digits) for _ in range(rng.randint(1, 5)))
    return letters + rng.choice(["-", "", "_", "/"]) + digits


def _address(rng: random.Random) -> str:
    path = rng.choice(["", f"/{_name(rng).lower()}", f"/{_name(rng).lower()}/{_number(rng)}"])
    return f"https://{rng.choice(['', 'www.'])}{_name(rng).lower()}.{rng.choice(_SITES)}{path}"


def _mail(rng: random.Random) -> str:
    return f"{_name(rng).lower()}@{_name(rng).lower()}.{rng.choice(_SITES)}"
