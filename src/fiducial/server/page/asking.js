/** An instruction goes out, an answer comes back. */

import { announce, byId, complain } from "./dom.js";
import { written } from "./targets.js";

export class Asking {
  constructor(store, api, cutter) {
    this.store = store;
    this.api = api;
    this.cutter = cutter;
    this.running = null;
    this.input = byId("instruction");
    byId("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.running) this.running.abort();
      else this.ask();
    });
  }

  async ask() {
    const { picture, recipe } = this.store.state;
    const instruction = this.input.value.trim();
    if (!picture) return complain("choose a picture first");
    if (!instruction) return;
    complain("");
    this.running = new AbortController();
    this.store.update({ busy: "Looking …" });
    try {
      // Without refiners: what the model itself wrote is what is edited. Those that are on come in when it is cut.
      const values = { instruction, recipe, options: { refine: [] } };
      const response = await this.api.about(picture, "/v1/segment", values, this.running.signal);
      const answer = await response.json();
      if (this.store.state.picture === picture) this.take(instruction, answer);
    } catch (problem) {
      if (problem.name !== "AbortError") complain(problem.message);
    } finally {
      this.running = null;
      this.store.update({ busy: "" });
    }
  }

  take(instruction, answer) {
    const { outcome, text, thinking, repairs, seconds, prompts } = answer;
    const targets = prompts.map(written);
    this.cutter.keep(targets, answer);
    this.store.state.selected = targets.length === 1 ? targets[0].id : null;
    this.store.commit({ answer: { instruction, outcome, text, thinking, repairs, seconds, from: "asked" }, targets });
    announce(targets.length ? `${targets.length} found` : text || outcome.replace("_", " "));
  }

  draw({ busy, picture, recipe, recipes }) {
    const can = Boolean(picture) && recipes.some(({ name, segments }) => name === recipe && segments);
    const button = byId("segment");
    button.textContent = busy ? "Stop" : "Segment";
    button.disabled = !can;
    this.input.disabled = !can;
    byId("progress").hidden = !busy;
  }
}
