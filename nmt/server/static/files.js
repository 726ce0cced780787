// Files: sent one after the other, each with a link to its translation.

import { upload } from "./api.js";
import { element } from "./text.js";

export class Files {
  // `page` has option() of the translation that is wanted, source(), say(text) and wantKey().
  constructor(page) {
    this.page = page;
    this.root = document.getElementById("files");
    this.list = this.root.querySelector("ul");
    this.waiting = Promise.resolve();
    this.requests = new Set();
  }

  add(files) {
    for (const file of files) {
      const item = element("li", { textContent: `${file.name} …` });
      this.list.prepend(item);
      this.root.hidden = false;
      const request = new AbortController();
      this.requests.add(request);
      const values = { file, source: this.page.source(), ...this.page.option() };
      this.waiting = this.waiting.then(() => this.translate(values, item, request));
    }
  }

  // End the translation of the files that are not done; return whether there were any.
  stop() {
    this.requests.forEach((request) => request.abort());
    return this.requests.size > 0;
  }

  async translate({ label, ...values }, item, request) {
    const { name } = values.file;
    try {
      request.signal.throwIfAborted();
      this.page.say(`${name} is being translated …`);
      const { translatedFileUrl, warnings = [] } = await upload("translate_file", values, request.signal);
      const path = translatedFileUrl.split("/").at(-1);
      const link = element("a", { textContent: name, href: `download_file/${path}` });
      link.download = "";
      item.replaceChildren(link, ` to ${label}; the server deletes it after ten minutes`);
      if (warnings.length) item.append(element("div", { className: "warning", textContent: warnings.join("; ") }));
      this.page.say(`${name} is translated.`);
    } catch (error) {
      if (error.status === 403) this.page.wantKey();
      const why = error.name === "AbortError" ? "ended." : error.message;
      item.replaceChildren(`${name}: `, element("span", { className: "error", textContent: why }));
      this.page.say(`${name}: ${why}`);
    } finally {
      this.requests.delete(request);
    }
  }
}
