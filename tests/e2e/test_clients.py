"""Clients of LibreTranslate on this server: public packages, and requests in the shape of other programs."""

import json
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Run
from servers import Serving, serving

from nmt.version import ROOT

ARGOS = ROOT / ".peers" / "argos" / "bin" / "python"
LINES = ["A small dog sleeps.", "The woman sees the old house."]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
LANGUAGES = [{"code": "en", "name": "English", "targets": ["de"]}, {"code": "de", "name": "German", "targets": []}]


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[Serving]:
    with serving(tiny_model) as running:
        yield running


@pytest.fixture(scope="module")
def expected(tiny_model: Path, nmt_here: Run) -> list[str]:
    return nmt_here("translate", tiny_model, stdin="".join(f"{line}\n" for line in LINES).encode()).lines


def test_libretranslatepy(server: Serving, expected: list[str]) -> None:
    client = pytest.importorskip("libretranslatepy").LibreTranslateAPI(server.url)
    assert [client.translate(line, "en", "de", timeout=60) for line in LINES] == expected
    assert client.languages() == LANGUAGES
    pytest.importorskip("py3langid")
    (best, *_) = client.detect("The woman sees the old house, and a small dog sleeps in it.")
    assert best["language"] == "en"
    assert 50 < best["confidence"] <= 100


@pytest.mark.slow
@pytest.mark.skipif(not ARGOS.exists(), reason="no environment of Argos Translate: make bench-peers")
def test_the_client_of_argos_translate(server: Serving, expected: list[str], tmp_path: Path) -> None:
    program = (
        "import json, sys\n"
        "from argostranslate.apis import LibreTranslateAPI\n"
        "client = LibreTranslateAPI(sys.argv[1])\n"
        "texts = [client.translate(line, 'en', 'de') for line in json.load(sys.stdin)]\n"
        "print(json.dumps([texts, client.languages(), client.detect('The old house')]))\n"
    )
    done = subprocess.run(
        [ARGOS, "-c", program, server.url],
        input=json.dumps(LINES),
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    texts, languages, detected = json.loads(done.stdout)
    assert (texts, languages) == (expected, LANGUAGES)
    assert {each["language"] for each in detected} <= {"en", "de"}


def test_requests_of_mastodon(server: Serving, expected: list[str]) -> None:
    """It sends a list of HTML in JSON, with `api_key` null where it has none, and `auto` for an unknown language."""
    posted = [f"<p>{line}</p>" for line in LINES]
    answer = server.post("/translate", q=posted, source="en", target="de", format="html", api_key=None)
    assert (answer.status, answer.body) == (200, {"translatedText": [f"<p>{text}</p>" for text in expected]})
    one = server.post("/translate", q=posted[0], source="en", target="de", format="html", api_key=None)
    assert one.body == {"translatedText": f"<p>{expected[0]}</p>"}
    targets = {each["code"]: each["targets"] for each in server.request("/languages").body}
    assert targets == {"en": ["de"], "de": []}
    pytest.importorskip("py3langid")
    found = server.post("/translate", q=posted, source="auto", target="de", format="html", api_key=None).body
    assert [each["language"] in ("en", "de") for each in found["detectedLanguage"]] == [True, True]


def test_requests_of_weblate(server: Serving, expected: list[str]) -> None:
    """It sends one text as a form, with an empty key, and takes the codes of the languages for all pairs."""
    form = urllib.parse.urlencode({"api_key": "", "q": LINES[0], "source": "en", "target": "de"})
    assert server.request("/translate", form.encode(), FORM).body == {"translatedText": expected[0]}
    assert [each["code"] for each in server.request("/languages").body] == ["en", "de"]
    refused = server.request("/translate", form.replace("target=de", "target=fr").encode(), FORM)
    assert refused.status == 400
    assert list(refused.body) == ["error"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_languages_are_listed_for_clients_that_post_a_key(server: Serving, method: str) -> None:
    answer = server.request("/languages", b"api_key=x", FORM, method=method)
    assert (answer.status, answer.body) == (200, LANGUAGES)
