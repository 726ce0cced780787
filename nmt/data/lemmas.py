"""Base forms of words, by the dictionaries of simplemma where that is installed, and phrases found by them."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial

from nmt import runtime
from nmt.data.languages import best_match
from nmt.data.terms import in_word, is_hyphenated
from nmt.errors import UsageError

Lemmatizer = Callable[[str], str]
_WORD_OR_NOT = re.compile(r"\w+|\W")


@cache
def lemmatizer(language: str | None, user: str) -> Lemmatizer:
    """Return what gives the base form of a word of `language`, a code as in a recipe.

    Raises UsageError, which names the `user`, where the package is missing or does not know the language.
    """
    package = runtime.import_extra("simplemma", "lemmas", user)
    known = runtime.import_extra("simplemma.strategies.dictionaries.dictionary_factory", "lemmas", user)
    code = best_match(language, sorted(known.SUPPORTED_LANGUAGES)) if language else None
    if code is None:
        hint = "the package simplemma has no dictionary of this language"
        raise UsageError(f"{user}: no base forms of words of {language or 'an unknown language'}", hint=hint)
    return partial(package.lemmatize, lang=code)  # which keeps what it has found


class LemmaFinder:
    """Finds phrases in texts in any form of their words, the longest first, where they do not overlap.

    Of phrases with the same words the one that is written as in the text is found, or else the first. A word of
    capitals alone, such as US, has no other form. Between the words of a phrase stands what stands there in the phrase.
    """

    def __init__(self, phrases: Iterable[str], lemma: Lemmatizer) -> None:
        self._lemma = lemma
        self._by_word: dict[str, list[tuple[list[str], str]]] = {}  # keys and phrase by the first key, longest first
        keyed = [([key for _, _, key in self._keys(phrase)], phrase) for phrase in dict.fromkeys(phrases)]
        for keys, phrase in sorted(keyed, key=lambda each: len(each[0]), reverse=True):
            self._by_word.setdefault(keys[0], []).append((keys, phrase))

    def find(self, text: str) -> list[tuple[int, int, str]]:
        """Return the places of phrases in `text`, the first character and the one behind, with the phrases."""
        found: list[tuple[int, int, str]] = []
        keys = self._keys(text)
        at = 0
        while at < len(keys):
            match = self._at(text, keys, at)
            if match is None or is_hyphenated(text, keys[at][0], keys[at + match[0] - 1][1]):
                at += 1
                continue
            count, phrase = match
            found.append((keys[at][0], keys[at + count - 1][1], phrase))
            at += count
        return found

    def count(self, text: str) -> int:
        """Return the number of places where a phrase stands in `text`."""
        return len(self.find(text))

    def _at(self, text: str, keys: Sequence[tuple[int, int, str]], at: int) -> tuple[int, str] | None:
        """Return the longest phrase at number `at` of the `keys` of `text`, and the number of its keys."""
        found: tuple[int, str] | None = None
        for several, phrase in self._by_word.get(keys[at][2], ()):
            if found and len(several) < found[0]:
                break
            if [key for _, _, key in keys[at : at + len(several)]] == several:
                if text[keys[at][0] : keys[at + len(several) - 1][1]] == phrase:
                    return len(several), phrase
                found = found or (len(several), phrase)
        return found

    def _keys(self, text: str) -> list[tuple[int, int, str]]:
        """Return the words of `text` with their places, in base form, and the characters between them."""
        return [(*match.span(), self._key(match[0])) for match in _WORD_OR_NOT.finditer(text)]

    def _key(self, word: str) -> str:
        if (len(word) > 1 and word.isupper()) or not in_word(word[0]):
            return word
        return self._lemma(word).casefold()
