// The page: the text and its languages, and the columns with translations.
// Languages and models stand in the address of the page, so that it can be kept; the text never does.

import { Failure, get, key, post } from "./api.js";
import { Column } from "./column.js";
import { Files } from "./files.js";
import { element, overlap, setLanguage, syncChildren, words } from "./text.js";

const PAUSE = 250; // milliseconds without a key after which the text is translated
const DETECTED = 1000; // characters by which a language is detected
const MOST_COLUMNS = 4;
const at = (id) => document.getElementById(id);
const [text, source, mirror] = [at("text"), at("source"), at("mirror")];
const columns = [];
let languages, models, settings, timer, detecting;
let detected = ""; // code of the language of the text, where it is to be detected

const page = {
  beams: new Map(),
  canAlign,
  highlight,
  say: (message) => (at("status").textContent = message),
  run: () => run(),
  changed: () => (remember(), run()),
  close(column) {
    column.stop();
    column.root.remove();
    columns.splice(columns.indexOf(column), 1);
    arrange();
    remember();
    columns[0].select.focus();
  },
  wantKey() {
    at("key-field").hidden = false;
  },
  source: () => source.value || "auto",
  option: () => columns[0].option,
};
const files = new Files(page);

async function start() {
  try {
    [languages, models, settings] = await Promise.all(["languages", "v1/models", "frontend/settings"].map(get));
  } catch (error) {
    page.say(error.message);
    setTimeout(start, 1000 * (error.retryAfter ?? 10));
    return;
  }
  page.say("");
  at("key-field").hidden = !settings.keyRequired;
  models.forEach((model) => page.beams.set(model.name, model.beam_size));
  at("choose").hidden = !settings.filesTranslation;
  at("file").accept = settings.supportedFilesFormat.join(",");
  const sources = languages.filter((one) => one.targets.length);
  const canDetect = settings.detection && sources.length > 1;
  source.replaceChildren(
    ...(canDetect ? [element("option", { value: "", textContent: "detect language" })] : []),
    ...sources.map(({ code, name }) => element("option", { value: code, textContent: name })),
  );
  const wanted = new URLSearchParams(location.hash.slice(1));
  const from = wanted.get("from") ?? settings.language.source.code;
  if ([...source.options].some((option) => option.value === from)) source.value = from;
  const to = wanted.getAll("to").slice(0, MOST_COLUMNS).map(parseOption);
  for (const one of to.length ? to : [{ target: settings.language.target.code }]) addColumn(one);
  remember();
  run();
}

// The translations that `source` can have: of each target the model that answers for it, then others by name.
function optionsOf(code) {
  const targets = new Set(languages.filter((one) => !code || one.code === code).flatMap((one) => one.targets));
  return [...targets].flatMap((target) => {
    const name = nameOf(target);
    const [first, ...others] = models.filter((one) => one.source === code && one.target === target);
    return [
      { target, label: others.length ? `${name} (${first.name})` : name },
      ...others.map((one) => ({ target, model: one.name, label: `${name} (${one.name})` })),
    ];
  });
}

function canAlign(code, { target, model }) {
  const direct = models.find((one) => (model ? one.name === model : one.source === code && one.target === target));
  return (direct ? [direct] : models).every((one) => one.alignment);
}

function nameOf(code) {
  return languages.find((one) => one.code === code)?.name ?? code;
}

function parseOption(value) {
  const [target, ...model] = value.split("/");
  return model.length ? { target, model: model.join("/") } : { target };
}

function addColumn(wanted) {
  const column = new Column(page);
  columns.push(column);
  at("panes").append(column.root);
  column.offer(optionsOf(source.value), wanted);
  arrange();
  return column;
}

function arrange() {
  columns.forEach((column, index) => {
    column.root.querySelector(".close").hidden = columns.length === 1;
    column.root.ariaLabel = columns.length === 1 ? "Translation" : `Translation ${index + 1}`;
    column.select.accessKey = index ? "" : "t";
    column.root.querySelector(".copy").accessKey = index ? "" : "c";
  });
  const most = Math.min(MOST_COLUMNS, columns[0].options.length);
  at("add").hidden = columns.length >= most;
  const back = languages.find((one) => one.code === columns[0].option.target);
  at("swap").disabled = !back?.targets.includes(source.value || detected);
}

function remember() {
  const to = columns.map(({ option }) => ["to", option.model ? `${option.target}/${option.model}` : option.target]);
  history.replaceState(null, "", `#${new URLSearchParams([["from", source.value], ...to])}`);
  arrange();
}

// Show the text in the mirror, and how long it is.
function reflect() {
  const lines = text.value.split("\n");
  syncChildren(mirror, lines, (line) => {
    const made = element("div");
    let end = 0;
    for (const [from, to] of words(line)) {
      made.append(line.slice(end, from), element("span", { textContent: line.slice(from, to), range: [from, to] }));
      end = to;
    }
    made.append(line.slice(end) || (line ? "" : "\u200b"));
    return made;
  });
  const most = settings ? ` of ${settings.charLimit.toLocaleString("en")}` : "";
  at("count").textContent = `${size(text.value).toLocaleString("en")}${most} characters`;
  return lines;
}

// Translate after a pause in typing; what is under way is for a text that is no more.
function later() {
  reflect();
  highlight();
  columns.forEach((column) => column.stop());
  detecting?.abort();
  clearTimeout(timer);
  timer = setTimeout(run, PAUSE);
}

async function run() {
  clearTimeout(timer);
  const lines = reflect();
  if (!columns.length) return;
  detecting?.abort();
  const { signal } = (detecting = new AbortController());
  try {
    if (size(text.value) > settings.charLimit) throw tooLong();
    const code = source.value || (await detect(text.value, signal));
    if (signal.aborted) return;
    setLanguage(text, code);
    setLanguage(mirror, code);
    await Promise.all(columns.map((column) => column.translate(text.value.trim() ? lines : [], code)));
  } catch (error) {
    if (error.name === "AbortError") return;
    columns.forEach((column) => column.stop());
    columns[0].fail(error);
  }
}

// The number of characters as the server counts them, those beyond U+FFFF once.
function size(of) {
  return of.length - (of.match(/[\ud800-\udbff][\udc00-\udfff]/g)?.length ?? 0);
}

function tooLong() {
  const [length, most] = [size(text.value), settings.charLimit].map((number) => number.toLocaleString("en"));
  return new Failure(`The text has ${length} characters; the server takes ${most} at once.`);
}

async function detect(of, signal) {
  if (!of.trim()) return "";
  const [best] = await post("detect", { q: of.slice(0, DETECTED) }, signal);
  detected = best?.language ?? "";
  page.say(best ? `Detected: ${nameOf(detected)}, ${best.confidence} %` : "");
  arrange();
  return detected;
}

// Mark the characters `ranges` of a line in the text, and what is aligned with them in all columns.
function highlight(line = -1, ranges = []) {
  for (const node of mirror.querySelectorAll(".on")) node.classList.remove("on");
  for (const node of mirror.children[line]?.children ?? [])
    if (ranges.some((range) => overlap(range, node.range))) node.classList.add("on");
  columns.forEach((column) => column.mark(line, ranges));
}

function pointAt(node) {
  if (node) highlight([...mirror.children].indexOf(node.parentElement), [node.range]);
  else highlight();
}

function pointAtCaret() {
  const before = text.value.slice(0, text.selectionStart);
  const line = before.split("\n").length - 1;
  const column = before.length - before.lastIndexOf("\n") - 1;
  const inside = ({ range: [from, to] }) => from <= column && column <= to;
  pointAt([...(mirror.children[line]?.children ?? [])].find(inside));
}

function swap() {
  const [before, after] = [source.value || detected, columns[0].option.target];
  const swapped = columns[0].text;
  if (columns[0].isDone && swapped.trim()) text.value = swapped;
  source.value = after;
  columns[0].offer(optionsOf(after), { target: before });
  columns.slice(1).forEach((column) => column.offer(optionsOf(after), column.option));
  page.changed();
}

text.addEventListener("input", later);
text.addEventListener("pointermove", (event) => {
  const under = document.elementsFromPoint(event.clientX, event.clientY);
  pointAt(under.find((node) => node.parentElement?.parentElement === mirror));
});
text.addEventListener("pointerleave", () => highlight());
text.addEventListener("blur", () => highlight());
text.addEventListener("keyup", pointAtCaret);
text.addEventListener("click", pointAtCaret);
source.addEventListener("change", () => {
  columns.forEach((column) => column.offer(optionsOf(source.value), column.option));
  page.changed();
});
at("swap").addEventListener("click", swap);
at("clear").addEventListener("click", () => {
  text.value = "";
  text.focus();
  run();
});
at("add").addEventListener("click", () => {
  const taken = columns.map(({ option }) => option.label);
  const column = addColumn(columns[0].options.find((one) => !taken.includes(one.label)));
  remember();
  run();
  column.select.focus();
});
at("key").addEventListener("change", (event) => {
  key.value = event.target.value;
  run();
});
at("choose").addEventListener("click", () => at("file").click());
at("file").addEventListener("change", (event) => {
  files.add([...event.target.files]);
  event.target.value = "";
});
const hasFiles = (event) => settings?.filesTranslation && event.dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (!hasFiles(event)) return;
  event.preventDefault();
  files.add([...event.dataTransfer.files]);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
  else if (event.key === "Escape" && !files.stop()) text.focus();
});
addEventListener("online", run);

function setTheme(name) {
  at("theme").value = document.documentElement.dataset.theme = name;
}

// Browsers may be set to keep nothing of a page.
at("theme").addEventListener("change", ({ target }) => {
  setTheme(target.value);
  try {
    localStorage.setItem("theme", target.value);
  } catch {}
});
try {
  setTheme(localStorage.getItem("theme") ?? "");
} catch {}
start();
