/** Pictures come in: dropped, pasted, chosen, or drawn by the server. */

import { byId, complain, make } from "./dom.js";
import { Mask } from "./masks.js";

const SMALL = 2048; // pixels: the longest side of what is drawn while the whole picture is in sight

export class Pictures {
  /** @param onOpen is called when there is a new picture */
  constructor(store, api, onOpen) {
    this.store = store;
    this.api = api;
    this.onOpen = onOpen;
    this.chooser = byId("chooser");
    const file = byId("file");
    byId("browse").addEventListener("click", () => file.click());
    file.addEventListener("change", () => {
      if (file.files[0]) this.open(file.files[0], file.files[0].name);
      file.value = "";
    });
    byId("open").addEventListener("click", () => this.choose());
    byId("chooser-close").addEventListener("click", () => this.close());
    this.chooser.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
    const hasFile = (event) => event.dataTransfer?.types.includes("Files");
    document.addEventListener("dragover", (event) => {
      if (!hasFile(event)) return;
      event.preventDefault();
      byId("stage").classList.add("dropping");
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) byId("stage").classList.remove("dropping");
    });
    document.addEventListener("drop", (event) => {
      if (!hasFile(event)) return;
      event.preventDefault();
      byId("stage").classList.remove("dropping");
      this.take(event.dataTransfer);
    });
    document.addEventListener("paste", (event) => this.take(event.clipboardData));
  }

  /** Take the first file of what was dropped or pasted. */
  take(given) {
    const file = given?.files?.[0];
    if (file) this.open(file, file.name);
  }

  /** Show what there is to choose from. */
  choose() {
    this.chooser.hidden = false;
    byId("chooser-close").hidden = !this.store.state.picture;
    byId("browse").focus();
  }

  close() {
    if (!this.store.state.picture) return;
    this.chooser.hidden = true;
    byId("coordinates").focus();
  }

  /** Draw the scenes that the server has, each as a button. */
  async offer() {
    const scenes = await this.api.get("/v1/scenes");
    byId("scenes").replaceChildren(...scenes.map((scene) => this.makeScene(scene)));
  }

  makeScene(scene) {
    const canvas = make("canvas", { "aria-hidden": "true" });
    const button = make(
      "button",
      { type: "button", "data-scene": scene.name, onclick: async () => this.openScene(scene) },
      canvas,
      make("span", { text: scene.instruction }),
    );
    this.drawThumbnail(canvas, scene);
    return make("li", {}, button);
  }

  async drawThumbnail(canvas, { name, width, height }) {
    const bitmap = await createImageBitmap(await this.api.bytes(`/v1/scenes/${encodeURIComponent(name)}.png`));
    const scale = 240 / Math.max(width, height);
    [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  }

  async openScene({ name, instruction, truth, image }) {
    complain("");
    try {
      const blob = await this.api.bytes(`/v1/scenes/${encodeURIComponent(name)}.png`);
      await this.show(blob, blob, image, { instruction, truth: new Mask(truth) });
    } catch (problem) {
      complain(problem.message);
    }
  }

  /** Send a picture and show it as the server read it, so that coordinates mean the same here and there. */
  async open(blob, name) {
    complain("");
    try {
      const facts = await this.api.send(blob, name || "picture.png");
      const seen = await this.api.bytes(`/v1/images/${encodeURIComponent(facts.digest)}`);
      await this.show(blob, seen, facts, { instruction: "", truth: null });
    } catch (problem) {
      complain(`${name || "picture"}: ${problem.message}`);
    }
  }

  /** Show what the server has: the file that was sent, the pixels as it read them, and {digest, width, height, name}. */
  async show(blob, seen, facts, known) {
    const bitmap = await createImageBitmap(seen, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
    const picture = { ...facts, ...known, blob, bitmap, small: await shrunk(bitmap) };
    this.store.open(picture);
    this.chooser.hidden = true;
    this.onOpen(picture);
  }
}

/** Return the picture at no more than a size that screens have: large ones are slow to draw. */
async function shrunk(bitmap) {
  const scale = SMALL / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) return bitmap;
  const size = { resizeWidth: Math.max(1, Math.round(bitmap.width * scale)), resizeHeight: Math.max(1, Math.round(bitmap.height * scale)) };
  return createImageBitmap(bitmap, { ...size, resizeQuality: "high" });
}
