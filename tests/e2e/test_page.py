"""The web page of `nmt serve`, as people use it: in headless Chromium, where it is installed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, needs_chromium
from playwright.sync_api import Browser, BrowserContext, FilePayload, Page, Route, expect, sync_playwright
from servers import Serving, serving

from nmt.tasks.grammar import generate

pytestmark = needs_chromium
LINES = [source for source, _ in generate("test", 9, 3)]
MARKUP = '<img src=x onerror="document.title = \'broken\'"> <b>bold</b> &amp; "quoted"'
MOST = 400  # characters that the server takes
NAMELESS = """() => [...document.querySelectorAll("button, select, input, textarea, a, summary, [role], [tabindex]")]
    .filter(one => one.checkVisibility() && !one.ariaLabel && !one.labels?.length && !one.textContent.trim()
                   && !["status", "alert"].includes(one.role))
    .map(one => one.outerHTML)"""
CONTRASTS = """() => {
    const paint = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const rgb = colour => {
        paint.clearRect(0, 0, 1, 1);
        paint.fillStyle = colour;
        paint.fillRect(0, 0, 1, 1);
        return [...paint.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
    const behind = one => {
        for (; one; one = one.parentElement) {
            const colour = rgb(getComputedStyle(one).backgroundColor);
            if (colour[3] === 255) return colour;
        }
    };
    const all = [...document.querySelectorAll("body *")].filter(one => one.checkVisibility() && !one.closest("#mirror")
        && (one.value || [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim())));
    return all.map(one => {
        const [text, back] = [light(rgb(getComputedStyle(one).color)), light(behind(one))];
        return [(Math.max(text, back) + .05) / (Math.min(text, back) + .05), one.outerHTML.slice(0, 80)];
    });
}"""


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[Serving]:
    with serving(tiny_model, f"second={tiny_model}", "--max-chars", str(MOST)) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport={"width": 1000, "height": 800}) as made:
        made.set_default_timeout(8_000)
        yield made


@pytest.fixture
def page(context: BrowserContext, server: Serving) -> Iterator[Page]:
    """Open the page; it must ask no other server, and break no rule of its own."""
    expect.set_options(timeout=8_000)
    made = context.new_page()
    requests: list[str] = []
    broken: list[str] = []
    made.on("request", lambda request: requests.append(request.url))
    made.on("pageerror", lambda error: broken.append(str(error)))
    made.on("console", lambda said: broken.append(said.text) if "Policy" in said.text else None)
    made.goto(server.url)
    yield made
    assert broken == []
    assert [url for url in requests if not url.startswith((server.url, "blob:"))] == []


def translated(server: Serving, text: str) -> str:
    return str(server.post("/translate", q=text, source="en", target="de").body["translatedText"])


def write(page: Page, text: str) -> None:
    page.get_by_label("Text to translate").fill(text)


def press_alt(page: Page, key: str) -> None:
    """Press Alt and `key`, as the browser's keyboard says it: Playwright's own names no letter then."""
    values = {"key": key, "unmodifiedText": key, "modifiers": 1, "windowsVirtualKeyCode": ord(key.upper())}
    page.context.new_cdp_session(page).send("Input.dispatchKeyEvent", {"type": "keyDown", **values})


def test_what_is_typed_is_translated_as_by_the_interface(page: Page, server: Serving) -> None:
    text = f"{LINES[0]} {LINES[1]}\n\n{LINES[2]}"
    page.get_by_label("Text to translate").press_sequentially(text[:20])
    page.keyboard.insert_text(text[20:])
    output = page.locator(".output")
    expect(output).to_have_text(translated(server, text), use_inner_text=True)
    expect(output).to_have_attribute("lang", "de")
    expect(output).to_have_attribute("aria-live", "polite")
    expect(page.locator("#count")).to_have_text(f"{len(text)} of {MOST} characters")
    page.get_by_label("Text to translate").press("Control+End")
    page.keyboard.insert_text("\U0001f600")
    expect(page.locator("#count")).to_have_text(f"{len(text) + 1} of {MOST} characters")
    page.get_by_role("button", name="Clear").click()
    expect(output).to_have_text("")
    assert "".join(LINES[0].split()[:1]) not in page.url


def test_an_answer_that_comes_late_is_dropped(page: Page, server: Serving) -> None:
    held: list[Route] = []
    page.route("**/v1/translate", lambda route: held.append(route) if not held else route.continue_())
    write(page, LINES[0])
    expect(page.locator(".output")).to_have_attribute("aria-busy", "true")
    write(page, LINES[1])
    expect(page.locator(".output")).to_have_text(translated(server, LINES[1]))
    assert len(held) == 1
    assert held[0].request.failure is not None  # aborted by the page


def test_an_alternative_replaces_a_sentence_by_click_or_key(page: Page) -> None:
    write(page, f"{LINES[0]}\n{LINES[1]}")
    first, second = page.locator(".sentence").first, page.locator(".sentence").nth(1)
    first.click()
    items = page.get_by_role("menuitemradio")
    expect(items.first).to_be_focused()
    expect(items.first).to_have_attribute("aria-checked", "true")
    other = items.nth(1).inner_text()
    items.nth(1).click()
    expect(page.locator(".sentence").first).to_have_text(other)
    expect(page.locator(".sentence").first).to_be_focused()
    expect(items).to_have_count(0)
    page.keyboard.press("ArrowDown")
    expect(second).to_be_focused()
    page.keyboard.press("Enter")
    expect(items.first).to_be_focused()
    page.keyboard.press("ArrowUp")
    last = items.last.inner_text()
    page.keyboard.press("Enter")
    expect(page.locator(".sentence").nth(1)).to_have_text(last)
    page.keyboard.press("Enter")
    expect(page.locator("[aria-checked=true]")).to_have_text(last)
    page.keyboard.press("Escape")
    expect(items).to_have_count(0)
    expect(page.locator(".sentence").nth(1)).to_be_focused()
    assert page.locator(".output").inner_text().split() == f"{other} {last}".split()


def test_aligned_words_are_marked_by_pointer_and_key(page: Page, server: Serving) -> None:
    write(page, LINES[0])
    page.locator(".word").first.wait_for()
    answer = server.post("/v1/translate", lines=[LINES[0]], source="en", target="de", alignment=True).body
    (found,) = answer["translations"][0]["candidates"]
    source, target = LINES[0].split(), found["text"].split()
    word = 1
    (aligned,) = [src for src, tgt in found["alignment"] if tgt == word]
    page.locator(".word").nth(word).hover()
    expect(page.locator("#mirror .on")).to_have_text([source[aligned]])
    box = page.locator("#mirror span").nth(aligned).bounding_box()
    assert box is not None
    page.mouse.move(0, 0)
    expect(page.locator(".on")).to_have_count(0)
    page.mouse.move(box["x"] + 4, box["y"] + 4)
    expect(page.locator("#mirror .on")).to_have_text([source[aligned]])
    marked = [target[tgt] for src, tgt in found["alignment"] if src == aligned]
    expect(page.locator(".output .on")).to_have_text(marked)
    page.mouse.move(0, 0)
    page.get_by_label("Text to translate").press("Control+Home")
    expect(page.locator("#mirror .on")).to_have_text([source[0]])
    page.locator(".sentence").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("status")).to_have_text(f"{target[1]}: {source[aligned]}")
    page.keyboard.press("Tab")
    expect(page.locator(".on")).to_have_count(0)


def test_a_file_is_translated_and_downloaded(page: Page, server: Serving) -> None:
    content = f"{LINES[0]}\n\n{LINES[1]}\n"
    note = FilePayload(name="a <b>.txt", mimeType="text/plain", buffer=content.encode())
    wrong = FilePayload(name="wrong.exe", mimeType="text/plain", buffer=b"x")
    page.get_by_label("Files to translate").set_input_files([note, wrong])
    link = page.get_by_role("link", name="a <b>.txt")
    with page.expect_download() as waiting:
        link.click()
    assert waiting.value.suggested_filename.endswith(".de.txt")
    assert waiting.value.path().read_text(encoding="utf-8") == translated(server, content)
    expect(page.locator("#files .error")).to_contain_text("wrong.exe cannot be translated: files end in ")


def test_dropped_files_are_translated(page: Page) -> None:
    page.get_by_role("button", name="Translate files").wait_for()
    page.evaluate(
        """line => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([line], "dropped.txt"));
            for (const kind of ["dragover", "drop"])
                document.body.dispatchEvent(new DragEvent(kind, {dataTransfer, bubbles: true, cancelable: true}));
        }""",
        LINES[0],
    )
    expect(page.get_by_role("link", name="dropped.txt")).to_be_visible()


def test_an_error_is_shown_and_goes_when_it_is_over(page: Page, server: Serving) -> None:
    alert, output = page.get_by_role("alert"), page.locator(".output")
    write(page, "x" * (MOST + 1))
    expect(alert).to_contain_text(f"The text has {MOST + 1} characters; the server takes {MOST} at once.")
    answers = iter([(429, {"Retry-After": "1"}, {"error": "too many requests: try again in 1 s"}), None])

    def answer(route: Route) -> None:
        if found := next(answers):
            route.fulfill(status=found[0], headers=found[1], json=found[2])
        else:
            route.abort()
            page.unroute("**/v1/translate")

    page.route("**/v1/translate", answer)
    write(page, LINES[0])
    expect(alert).to_contain_text("too many requests: try again in 1 s")
    expect(alert).to_contain_text("The server does not answer")  # after a second, by itself
    alert.get_by_role("button", name="Try again").click()
    expect(output).to_have_text(translated(server, LINES[0]))
    expect(alert).to_have_count(0)


def test_markup_is_text_wherever_it_comes_from(page: Page, context: BrowserContext, server: Serving) -> None:
    other = context.new_page()
    models = json.loads(json.dumps(server.request("/v1/models").body).replace("second", "SECOND"))
    for model in models:
        model["name"] = MARKUP
    part = {"before": "", "source": MARKUP, "candidates": [{"text": MARKUP}], "warnings": [MARKUP]}
    answer = {
        "models": [MARKUP],
        "translations": [{"source": MARKUP, "parts": [part], "candidates": [{"text": MARKUP}]}],
    }
    other.route("**/v1/models", lambda route: route.fulfill(json=models))
    other.route("**/v1/translate", lambda route: route.fulfill(json=answer))
    other.goto(server.url)
    write(other, MARKUP)
    expect(other.locator(".output")).to_have_text(MARKUP)
    expect(other.locator(".warnings")).to_have_text(f"{MARKUP}: 1")
    assert other.locator(".to option").all_inner_texts()[0] == f"German ({MARKUP})"
    other.locator(".sentence").click()
    expect(other.get_by_role("menuitemradio")).to_have_text([MARKUP])
    other.route("**/v1/translate", lambda route: route.fulfill(status=500, json={"error": MARKUP}))
    write(other, f"{MARKUP} more")
    expect(other.get_by_role("alert")).to_contain_text(MARKUP)
    assert other.locator("img, b").count() == 0
    write(page, MARKUP)  # by the server itself
    expect(page.locator(".output")).to_have_text(re.compile("."))
    assert page.locator("img, b").count() == 0
    assert other.title() == page.title() == "Translate"


def test_all_of_it_works_by_keyboard(page: Page) -> None:
    expect(page.get_by_label("Text to translate")).to_be_focused()
    page.keyboard.type(LINES[0])
    page.keyboard.press("Control+Enter")
    page.locator(".sentence").wait_for()
    seen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        name = "document.activeElement.id || document.activeElement.classList[0] || document.activeElement.tagName"
        seen.append(str(page.evaluate(name)))
    assert seen[:6] == ["clear", "choose", "to", "sentence", "copy", "add"]
    assert {"SUMMARY", "theme", "source", "text"} <= set(seen)  # and round again: nothing holds the focus
    page.locator("#add").focus()
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("select.to").nth(1)).to_be_focused()
    expect(page.locator(".output").nth(1)).to_have_text(page.locator(".output").first.inner_text())
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".output")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.get_by_label("Text to translate")).to_be_focused()


def test_the_address_keeps_languages_and_models(page: Page) -> None:
    page.get_by_role("button", name="Add a column").click()
    write(page, LINES[0])
    expect(page.locator(".output").nth(1)).to_have_text(re.compile("."))
    assert page.evaluate("location.hash") == "#from=en&to=de&to=de%2Fsecond"
    page.reload()
    expect(page.locator(".to").nth(1)).to_have_value("German (second)")


def test_a_phone_shows_it_in_one_column(page: Page) -> None:
    long = "x" * 100
    part = {"before": "", "source": long, "candidates": [{"text": long}], "warnings": [long]}
    answer = {
        "models": [long],
        "translations": [{"source": long, "parts": [part] * 2, "candidates": part["candidates"]}],
    }
    page.route("**/v1/translate", lambda route: route.fulfill(json=answer))
    page.set_viewport_size({"width": 360, "height": 640})
    page.get_by_role("button", name="Add a column").click()
    write(page, long)
    page.locator(".sentence").nth(1).wait_for()
    page.locator(".sentence").first.click()
    page.get_by_role("menuitemradio").first.wait_for()
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    edges = page.locator(".pane").evaluate_all("all => all.map(one => one.getBoundingClientRect().left)")
    assert len(edges) == 3
    assert len(set(edges)) == 1


def test_every_control_has_a_name_and_all_text_contrast(page: Page) -> None:
    page.get_by_role("button", name="Add a column").click()
    write(page, f"{LINES[0]} {'x ' * 30}")
    page.locator(".word").first.wait_for()
    page.locator("summary").click()
    page.locator(".sentence").first.click()
    page.get_by_role("menuitemradio").first.wait_for()
    page.locator(".word").first.hover()
    assert page.evaluate(NAMELESS) == []
    for system, scheme, back in (("light", "dark", "rgb(20, 23, 28)"), ("dark", "light", "rgb(244, 245, 247)")):
        page.emulate_media(color_scheme=system)  # type: ignore[arg-type]
        page.get_by_label("Theme").select_option("system")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != back
        page.get_by_label("Theme").select_option(scheme)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == back
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 30
        assert [one for one in contrasts if one[0] < 4.5] == []
    page.reload()
    expect(page.get_by_label("Theme")).to_have_value("light")


def test_a_key_is_asked_for_and_sent(context: BrowserContext, server: Serving) -> None:
    other = context.new_page()
    keys = []

    def gate(route: Route) -> None:
        keys.append(json.loads(route.request.post_data or "").pop("api_key", None))
        if keys[-1] == "secret":
            route.continue_()
        else:
            route.fulfill(status=403, json={"error": "an API key is needed"})

    other.route("**/v1/translate", gate)
    other.goto(server.url)
    field = other.get_by_label("API key")
    expect(field).to_be_hidden()
    write(other, LINES[0])
    expect(other.get_by_role("alert")).to_contain_text("an API key is needed")
    field.fill("secret")
    field.press("Enter")
    expect(other.locator(".output")).to_have_text(translated(server, LINES[0]))
    assert keys == [None, "secret"]
    assert "secret" not in other.url


def test_a_model_that_cannot_align_is_not_asked_to(context: BrowserContext, server: Serving) -> None:
    other = context.new_page()
    models = [model | {"alignment": False} for model in server.request("/v1/models").body]
    other.route("**/v1/models", lambda route: route.fulfill(json=models))
    other.goto(server.url)
    with other.expect_request("**/v1/translate") as waiting:
        write(other, LINES[0])
    assert json.loads(waiting.value.post_data or "")["alignment"] is False
    expect(other.locator(".by")).to_contain_text("not aligned")
    other.locator(".word").first.hover()
    expect(other.locator("#mirror .on")).to_have_count(0)


def test_a_language_is_detected_and_both_are_swapped(context: BrowserContext, server: Serving) -> None:
    other = context.new_page()
    asked: list[dict[str, Any]] = []

    def translate(route: Route) -> None:
        asked.append(json.loads(route.request.post_data or ""))
        found = [
            {"source": line, "parts": [part(word, word.upper()) for word in re.findall(r"\S+\s*", line)]}
            for line in asked[-1]["lines"]
        ]
        route.fulfill(json={"models": ["one", "two"], "pivot": "fr", "translations": found})

    def part(source: str, text: str) -> dict[str, Any]:
        return {"before": "", "source": source, "candidates": [{"text": text}], "warnings": []}

    languages = [{"code": code, "name": code.upper(), "targets": [other]} for code, other in ("ab", "ba")]
    settings = server.request("/frontend/settings").body | {"detection": True}
    other.route("**/languages", lambda route: route.fulfill(json=languages))
    other.route("**/frontend/settings", lambda route: route.fulfill(json=settings))
    other.route("**/v1/models", lambda route: route.fulfill(json=[]))
    other.route("**/detect", lambda route: route.fulfill(json=[{"language": "b", "confidence": 93.5}]))
    other.route("**/v1/translate", translate)
    other.goto(f"{server.url}/#from=&to=a")
    write(other, "one two\n\nthree")
    expect(other.locator(".output")).to_have_text("ONE TWO\n\nTHREE", use_inner_text=True)
    expect(other.locator(".by")).to_contain_text("one, then two, by way of fr")
    expect(other.get_by_role("status")).to_have_text("Detected: B, 93.5 %")
    press_alt(other, "s")
    expect(other.get_by_label("Text to translate")).to_have_value("ONE TWO\n\nTHREE")
    expect(other.get_by_label("From")).to_have_value("a")
    expect(other.get_by_role("combobox", name="To", exact=True)).to_have_value("B")
    wanted = {"lines": ["ONE TWO", "THREE"], "source": "a", "target": "b", "parts": True, "alignment": True}
    expect(other.locator(".output")).to_have_attribute("lang", "b")
    assert asked[-1] == wanted


def test_a_language_is_written_in_its_direction(context: BrowserContext, server: Serving) -> None:
    other = context.new_page()
    languages = [{"code": "en", "name": "English", "targets": ["he", "uz_Arab"]}]
    other.route("**/languages", lambda route: route.fulfill(json=languages))
    other.goto(server.url)
    output = other.locator(".output")
    expect(output).to_have_attribute("dir", "rtl")
    other.get_by_role("combobox", name="To", exact=True).select_option("uz_Arab")
    expect(output).to_have_attribute("dir", "rtl")
    expect(output).to_have_attribute("lang", "uz-Arab")
    expect(other.get_by_label("Text to translate")).to_have_attribute("dir", "ltr")


def test_the_page_says_that_the_server_is_away_and_begins_when_it_is_there(
    context: BrowserContext, server: Serving
) -> None:
    other = context.new_page()
    other.clock.install()
    other.route("**/v1/models", lambda route: route.abort())
    other.goto(server.url)
    expect(other.get_by_role("status")).to_contain_text("The server does not answer")
    other.unroute("**/v1/models")
    other.clock.run_for(3000)
    expect(other.get_by_role("combobox", name="To", exact=True)).to_be_visible()
