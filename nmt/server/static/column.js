// A column: the translation of the text by one model or route, its alternatives, its alignment and its warnings.

import { Failure, post } from "./api.js";
import { element, overlap, setLanguage, syncChildren, words } from "./text.js";

const MOST_LINES = 500; // of one request
const MOST_ALTERNATIVES = 8;

export class Column {
  // `page` has beams (by model), canAlign(source, option), highlight(line, ranges), say(text), wantKey(), run(), changed() and close(column).
  constructor(page) {
    this.page = page;
    this.results = new Map(); // of lines: parts, each with its words, its candidates and which of them is chosen
    this.lines = [];
    this.root = document.getElementById("column").content.firstElementChild.cloneNode(true);
    const find = (selector) => this.root.querySelector(selector);
    this.select = find(".to");
    this.output = find(".output");
    this.error = find(".error");
    this.warnings = find(".warnings");
    this.by = find(".by");
    this.select.addEventListener("change", () => this.choose(this.options[this.select.selectedIndex]));
    find(".close").addEventListener("click", () => page.close(this));
    find(".copy").addEventListener("click", () => this.copy());
    find(".error button").addEventListener("click", () => page.run());
    this.output.addEventListener("pointerover", (event) => this.point(event.target));
    this.output.addEventListener("pointerleave", () => page.highlight());
    this.output.addEventListener("focusout", () => page.highlight());
    this.output.addEventListener("click", (event) => {
      if (!String(getSelection())) this.open(event.target.closest(".sentence")); // or it ends a selection
    });
    this.output.addEventListener("keydown", (event) => this.press(event));
  }

  // Offer `options`, each a target and perhaps a model, and keep the one that is chosen where it is still there.
  offer(options, wanted) {
    const same = (one) => one.target === wanted?.target && (one.model ?? null) === (wanted?.model ?? null);
    this.options = options;
    this.select.replaceChildren(...options.map((one) => element("option", { textContent: one.label })));
    this.select.selectedIndex = Math.max(0, options.findIndex(same));
    this.choose(options[this.select.selectedIndex], { quiet: true });
  }

  choose(option, { quiet = false } = {}) {
    this.option = option;
    this.results.clear();
    setLanguage(this.output, option.target);
    if (!quiet) this.page.changed();
  }

  get text() {
    const line = (parts) => parts.map((part) => part.before + part.candidates[part.chosen].text).join("");
    return this.lines.map((one) => line(this.results.get(one) ?? [])).join("\n");
  }

  get isDone() {
    return this.lines.every((line) => !line.trim() || this.results.has(line));
  }

  // Translate `lines` from `source`; what is translated already stays, with the alternatives that were chosen.
  async translate(lines = this.lines, source = this.source) {
    this.stop();
    if (source !== this.source) this.results.clear();
    [this.lines, this.source] = [lines, source];
    const current = new Set(lines);
    const wanted = [...current].filter((line) => line.trim() && !this.results.has(line));
    const { signal } = (this.request = new AbortController());
    this.fail(null);
    this.output.ariaBusy = String(wanted.length > 0);
    const began = performance.now();
    try {
      for (let at = 0; at < wanted.length; at += MOST_LINES) {
        const answer = await this.ask(wanted.slice(at, at + MOST_LINES), { parts: true }, signal);
        for (const { source: line, parts } of answer.translations) this.results.set(line, measured(parts));
        const aligned = this.page.canAlign(source, this.option);
        const how = answer.pivot ? `${answer.models.join(", then ")}, by way of ${answer.pivot}` : answer.models[0];
        this.by.textContent = `${how}, ${((performance.now() - began) / 1000).toFixed(2)} s${aligned ? "" : ", not aligned"}`;
        this.models = answer.models;
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      this.fail(error);
    }
    if (signal.aborted) return;
    for (const line of this.results.keys()) if (!current.has(line)) this.results.delete(line);
    this.output.ariaBusy = "false";
    if (this.isDone) this.show();
  }

  stop() {
    this.request?.abort();
    clearTimeout(this.retry);
  }

  async ask(lines, more, signal) {
    const { target, model } = this.option;
    const values = { lines, ...(model ? { model } : { source: this.source, target }), ...more };
    return post("v1/translate", { ...values, alignment: this.page.canAlign(this.source, this.option) }, signal);
  }

  fail(error) {
    this.error.hidden = error === null;
    if (!error) return;
    console.assert(error instanceof Failure, error);
    const seconds = error.retryAfter;
    this.error.querySelector("p").textContent = error.message;
    if (error.status === 403) this.page.wantKey();
    if (seconds) this.retry = setTimeout(this.page.run, seconds * 1000);
  }

  show() {
    this.close();
    const keys = this.lines.map((line) => this.results.get(line) ?? line);
    syncChildren(this.output, keys, (key) => this.paragraph(typeof key === "string" ? [] : key));
    const found = [...this.results.values()].flat().flatMap((part) => part.warnings);
    const counts = [...new Set(found)].map((text) => `${text}: ${found.filter((one) => one === text).length}`);
    if (!this.output.querySelector('[tabindex="0"]')) this.current();
    if (!this.results.size) this.by.textContent = "";
    this.warnings.replaceChildren(...counts.map((text) => element("li", { textContent: text })));
  }

  // A line: sentences that can be opened, each of words. Their indices are those in `parts`, and in its alignment.
  paragraph(parts) {
    const sentences = parts.flatMap((part, index) => {
      const { text } = part.candidates[part.chosen];
      const span = element("span", { className: "sentence", tabIndex: -1, role: "button" });
      [span.ariaHasPopup, span.ariaExpanded] = ["menu", "false"];
      span.title = part.warnings.join("; ");
      span.classList.toggle("odd", part.warnings.length > 0);
      let end = 0;
      words(text).forEach(([from, to], word) => {
        span.append(text.slice(end, from), element("span", { className: "word", textContent: text.slice(from, to) }));
        Object.assign(span.lastChild, { part: index, word });
        end = to;
      });
      span.append(text.slice(end));
      return [part.before, Object.assign(span, { part: index })];
    });
    return element("p", {}, ...sentences);
  }

  line(node) {
    return [...this.output.children].filter((one) => one.tagName === "P").indexOf(node.closest("p"));
  }

  // Show what the word `node` is aligned with, and return that.
  point(node) {
    if (!node.classList.contains("word")) return "";
    const line = this.line(node);
    const part = this.results.get(this.lines[line])?.[node.part];
    const pairs = part?.candidates[part.chosen].alignment ?? [];
    const ranges = pairs.filter(([, tgt]) => tgt === node.word).map(([src]) => part.words[src]).filter(Boolean);
    this.page.highlight(line, ranges);
    node.classList.add("on");
    return ranges.map(([from, to]) => this.lines[line].slice(from, to)).join(" ");
  }

  // Mark the words that are aligned with the characters `ranges` of a line.
  mark(line, ranges) {
    for (const node of this.output.querySelectorAll(".word.on")) node.classList.remove("on");
    const parts = this.results.get(this.lines[line]) ?? [];
    const paragraph = [...this.output.children].filter((one) => one.tagName === "P")[line];
    for (const node of ranges.length && paragraph ? paragraph.querySelectorAll(".word") : []) {
      const part = parts[node.part];
      const pairs = part?.candidates[part.chosen].alignment ?? [];
      const isOn = ([src, tgt]) =>
        tgt === node.word && ranges.some((one) => part.words[src] && overlap(one, part.words[src]));
      node.classList.toggle("on", pairs.some(isOn));
    }
  }

  press(event) {
    const menu = event.target.closest(".alternatives");
    const sentence = event.target.closest(".sentence");
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape" && menu) {
      this.close({ focus: true });
    } else if (menu && ["ArrowDown", "ArrowUp"].includes(event.key)) {
      const all = [...menu.querySelectorAll("button")];
      all[(all.indexOf(event.target) + step + all.length) % all.length].focus();
    } else if (sentence && ["Enter", " "].includes(event.key)) {
      this.open(sentence);
    } else if (sentence && ["ArrowDown", "ArrowUp"].includes(event.key)) {
      const all = [...this.output.querySelectorAll(".sentence")];
      this.current(all[Math.min(Math.max(all.indexOf(sentence) + step, 0), all.length - 1)]).focus();
    } else if (sentence && step) {
      this.walk(sentence, this.output.dir === "rtl" ? -step : step);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  // Make `sentence` the one that Tab leads to; a long text is no long way for it.
  current(sentence = this.output.querySelector(".sentence")) {
    for (const one of this.output.querySelectorAll('[tabindex="0"]')) one.tabIndex = -1;
    if (sentence) sentence.tabIndex = 0;
    return sentence;
  }

  walk(sentence, step) {
    const all = [...sentence.querySelectorAll(".word")];
    const before = all.findIndex((node) => node === sentence.current);
    const at = before < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(before + step, 0), all.length - 1);
    if (!all[at]) return;
    sentence.current = all[at];
    const source = this.point(all[at]);
    this.page.say(source ? `${all[at].textContent}: ${source}` : all[at].textContent);
  }

  // Open or close the alternatives of a sentence, below its line.
  async open(sentence) {
    if (!sentence) return;
    const isOpen = sentence.ariaExpanded === "true";
    this.close({ focus: isOpen });
    const [line, paragraph] = [this.lines[this.line(sentence)], sentence.closest("p")];
    const part = this.results.get(line)?.[sentence.part];
    if (isOpen || !part) return;
    sentence.ariaExpanded = "true";
    this.current(sentence);
    try {
      if (!part.isWhole) {
        const most = Math.min(MOST_ALTERNATIVES, this.page.beams.get(this.models.at(-1)) ?? 1);
        const [found] = (await this.ask([part.source], { n_best: most })).translations;
        const texts = part.candidates.map((one) => one.text);
        part.candidates.push(...found.candidates.filter((one) => !texts.includes(one.text)));
        part.isWhole = true;
      }
    } catch (error) {
      sentence.ariaExpanded = "false";
      return this.fail(error);
    }
    if (!sentence.isConnected || sentence.ariaExpanded === "false") return;
    const menu = element("div", { role: "menu", ariaLabel: "Alternatives" });
    const box = element("div", { className: "alternatives" }, menu);
    part.candidates.forEach(({ text }, index) => {
      const item = element("button", { type: "button", role: "menuitemradio", textContent: text });
      item.ariaChecked = String(index === part.chosen);
      item.addEventListener("click", (event) => this.replace(event, paragraph, sentence.part, index));
      menu.append(item);
    });
    if (part.candidates.length === 1) box.append("There is no other translation.");
    paragraph.after(box);
    menu.querySelector("[aria-checked=true]").focus();
  }

  close({ focus = false } = {}) {
    const sentence = this.output.querySelector('[aria-expanded="true"]');
    this.output.querySelector(".alternatives")?.remove();
    if (sentence) sentence.ariaExpanded = "false";
    if (focus) sentence?.focus();
  }

  replace(event, paragraph, index, chosen) {
    event.stopPropagation();
    const line = this.line(paragraph);
    const parts = this.results.get(this.lines[line]);
    this.close();
    parts[index].chosen = chosen;
    for (const same of [...this.output.children].filter((one) => one.key === parts))
      same.replaceWith(Object.assign(this.paragraph(parts), { key: parts }));
    this.current(this.output.children[line].querySelectorAll(".sentence")[index]).focus();
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.text);
      this.page.say("The translation is copied.");
    } catch {
      getSelection().selectAllChildren(this.output); // no clipboard without https but on this machine itself
      this.page.say("The translation is selected; copy it by Ctrl+C.");
    }
  }
}

// Prepare the parts of a line: where their words stand in it, and which candidate is chosen.
function measured(parts) {
  let start = 0;
  for (const part of parts) {
    Object.assign(part, { chosen: 0, words: words(part.source, start) });
    start += part.source.length;
  }
  return parts;
}
