/** Coordinates as text: live in any dialect, both ways; and a model's own reply, read and mended. */

import { announce, byId, latest, make } from "./dom.js";
import { asPrompt, takeOver, written } from "./targets.js";

const PAUSE = 250; // ms without a key: then what was typed is read

export class Text {
  constructor(store, api) {
    this.store = store;
    this.api = api;
    this.area = byId("text");
    this.dialect = byId("dialect");
    this.before = null; // {targets, prompts}: as they were when typing began, and as the text read then
    this.shown = "";
    this.write = latest(() => this.writeNow());
    this.read = latest(() => this.readNow());
    this.area.addEventListener("beforeinput", () => this.beginTyping());
    this.area.addEventListener("input", () => this.typed());
    this.area.addEventListener("blur", () => this.endTyping());
    this.dialect.addEventListener("change", () => this.choose(this.dialect.value));
  }

  /** Write in a dialect, by its name. */
  choose(name) {
    this.dialect.value = name;
    const found = this.store.state.dialects.find((one) => one.name === name);
    byId("dialect-said").textContent = found?.summary ?? "";
    this.shown = "";
    this.draw();
  }

  /** Follow the coordinates, unless somebody is typing. */
  draw() {
    if (this.before) return;
    const { picture, targets } = this.store.state;
    this.area.disabled = !picture;
    const wanted = JSON.stringify([picture?.digest, this.dialect.value, targets.map(asPrompt)]);
    if (wanted === this.shown) return;
    this.shown = wanted;
    if (picture) this.write();
    else this.area.value = "";
  }

  size() {
    const { width, height } = this.store.state.picture;
    return { dialect: this.dialect.value, width, height };
  }

  async writeNow() {
    const { picture, targets } = this.store.state;
    if (!picture) return;
    let text = "";
    let said = "";
    if (targets.length) {
      try {
        const prompts = { frame: "pixels", targets: targets.map(asPrompt) };
        ({ text } = await this.api.post("/v1/write", { ...this.size(), prompts }));
      } catch (problem) {
        said = problem.message;
      }
    }
    if (this.before) return;
    this.area.value = text;
    this.say(said, said !== "");
  }

  beginTyping() {
    if (this.before) return;
    const { targets } = this.store.state;
    const reply = this.area.value;
    this.before = { targets, prompts: reply.trim() ? this.parse(reply) : Promise.resolve({ prompts: [] }) };
    this.before.prompts.catch(() => {}); // told when it is needed
  }

  typed() {
    this.unread = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.reading = this.read();
    }, PAUSE);
  }

  async endTyping() {
    if (!this.before) return;
    clearTimeout(this.timer);
    await (this.unread ? this.read() : this.reading);
    this.before = null;
    this.store.settle();
    this.shown = "";
    this.draw();
  }

  parse = (reply) => this.api.post("/v1/parse", { ...this.size(), reply });

  async readNow() {
    const before = this.before;
    if (!before) return;
    this.unread = false;
    try {
      const [was, now] = await Promise.all([before.prompts, this.parse(this.area.value)]);
      if (this.before !== before) return;
      if (now.outcome === "malformed") return this.say(now.text || "no coordinates can be read", true);
      const targets = takeOver(before.targets, was.prompts, now.prompts);
      if (JSON.stringify(targets.map(asPrompt)) !== JSON.stringify(this.store.state.targets.map(asPrompt))) {
        this.store.commit({ targets }, "typing");
      }
      const count = now.prompts.length;
      this.say([`read ${count} target${count === 1 ? "" : "s"}`, ...now.repairs].join("; "), false);
    } catch (problem) {
      this.say(problem.message, true);
    }
  }

  say(text, wrong) {
    const place = byId("text-said");
    place.textContent = text;
    place.classList.toggle("failure", wrong);
  }
}

/** The dialog that reads a model's reply. */
export class ReplyDialog {
  constructor(store, api, text) {
    this.store = store;
    this.api = api;
    this.text = text;
    this.dialog = byId("reply-dialog");
    this.area = byId("reply-text");
    this.dialect = byId("reply-dialect");
    this.read = latest(() => this.readNow());
    this.found = null;
    this.area.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.read(), PAUSE);
    });
    this.dialect.addEventListener("change", () => this.read());
    byId("reply-take").addEventListener("click", () => this.take());
  }

  open() {
    if (!this.store.state.picture) return announce("choose a picture first");
    this.dialect.value = byId("dialect").value;
    this.dialog.showModal();
    this.area.focus();
    this.read();
  }

  async readNow() {
    const { width, height } = this.store.state.picture;
    const reply = this.area.value;
    this.found = null;
    if (reply.trim()) {
      try {
        this.found = await this.api.post("/v1/parse", { dialect: this.dialect.value, width, height, reply });
        this.tell(this.found);
      } catch (problem) {
        byId("reply-said").replaceChildren(make("p", { class: "failure", text: problem.message }));
      }
    } else byId("reply-said").replaceChildren();
    byId("reply-take").disabled = !this.found || this.found.outcome === "malformed";
  }

  tell({ outcome, text, thinking, prompts, repairs }) {
    const parts = prompts.map(({ label, box, points }, number) => {
      const numbers = [...(box ?? []), ...points.flat()].map((value) => Math.round(value)).join(", ");
      return make("li", {}, make("b", { text: `${number + 1} ${label ?? "target"}` }), ` ${numbers}`);
    });
    byId("reply-said").replaceChildren(
      make("p", { class: "head" }, make("span", { class: `outcome ${outcome}`, text: outcome.replace("_", " ") }), ` ${prompts.length} read`),
      ...(thinking ? [make("p", { class: "soft words", text: thinking })] : []),
      ...(text ? [make("p", { class: "words", text })] : []),
      make("ul", { class: "plain" }, ...parts),
      ...repairs.map((repair) => make("p", { class: "repair", text: `mended: ${repair}` })),
    );
  }

  take() {
    const { outcome, text, thinking, prompts, repairs } = this.found;
    const answer = { instruction: "", outcome, text, thinking, repairs, seconds: {}, from: "reply" };
    this.store.commit({ answer, targets: prompts.map(written) });
    this.text.choose(this.dialect.value);
    this.dialog.close();
    byId("coordinates").focus();
  }
}
