// Words, lines and directions; all text reaches the page by textContent alone.

const LANGUAGES = /^(ar|arc|azb|bal|bqi|ckb|dv|fa|glk|he|iw|khw|ks|lrc|mzn|nqo|pnb|prs|ps|sd|sdh|syr|ug|ur|yi)\b/;
const SCRIPTS = /^(adlm|arab|aran|hebr|nkoo|rohg|syrc|thaa)$/; // both written from right to left

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// The start and end of each word of `text`, shifted by `start`.
export function words(text, start = 0) {
  return Array.from(text.matchAll(/\S+/g), (found) => [start + found.index, start + found.index + found[0].length]);
}

export function overlap([a, b], [c, d]) {
  return a < d && c < b;
}

// Say in which language an element is, and in which direction it is written; "" is a language that is not known.
export function setLanguage(of, code) {
  const standard = code.replaceAll("_", "-");
  const script = standard.toLowerCase().match(/-([a-z]{4})\b/)?.[1];
  const isRight = script ? SCRIPTS.test(script) : LANGUAGES.test(standard.toLowerCase());
  of.lang = standard;
  of.dir = !code ? "auto" : isRight ? "rtl" : "ltr";
}

// Make the children of `container` those of `keys`, in order, leaving the first and last that are the same in place.
export function syncChildren(container, keys, make) {
  const before = [...container.children];
  const same = (child, at) => child.key === keys[at];
  let first = 0, last = 0;
  while (first < Math.min(before.length, keys.length) && same(before[first], first)) first++;
  const most = Math.min(before.length, keys.length) - first;
  while (last < most && same(before[before.length - 1 - last], keys.length - 1 - last)) last++;
  const made = keys.slice(first, keys.length - last).map((one) => Object.assign(make(one), { key: one }));
  before.slice(first, before.length - last).forEach((child) => child.remove());
  if (first) container.children[first - 1].after(...made);
  else container.prepend(...made);
}
