/** Files to take away. */

import { byId, complain, make } from "./dom.js";
import { asPrompt, provenance } from "./targets.js";

const KINDS = [
  ["overlay", "Overlay", "PNG: picture, masks, coordinates and a legend"],
  ["masks", "Masks", "PNG, twice: white where there is a target, and each target by its number"],
  ["json", "JSON", "everything, and who each coordinate is from"],
  ["coco", "COCO", "annotations with masks as run-length codes"],
  ["labelme", "LabelMe", "annotations with masks as polygons"],
];

export class Downloads {
  constructor(store, api, cutter) {
    this.store = store;
    this.api = api;
    this.cutter = cutter;
    this.buttons = KINDS.map(([kind, name, title]) =>
      make("button", { type: "button", title, "data-format": kind, text: name, onclick: () => this.take(kind) }),
    );
    byId("downloads").replaceChildren(...this.buttons);
  }

  draw() {
    const ready = Boolean(this.store.state.picture) && (this.store.state.answer || this.store.state.targets.length);
    for (const button of this.buttons) button.disabled = !ready || !this.cutter.done;
  }

  /** Return the result as it is now: in the server's JSON, with the masks that are shown. */
  result() {
    const { answer, targets } = this.store.state;
    const cuts = targets.map((target) => ({ target, cut: this.cutter.now(target) })).filter(({ cut }) => cut);
    const outcome = cuts.length ? "found" : answer?.outcome === "found" || !answer ? "no_target" : answer.outcome;
    return {
      outcome,
      text: answer?.text ?? "",
      thinking: answer?.thinking ?? "",
      repairs: answer?.repairs ?? [],
      prompts: cuts.map(({ target, cut }) => ({ ...asPrompt(target), ...seen(cut) })),
      masks: cuts.map(({ cut }) => cut.mask.code),
      scores: cuts.map(({ cut }) => cut.score),
      refinements: cuts.map(({ cut }) => cut.refinements),
    };
  }

  async take(format) {
    complain("");
    const { picture, recipe, answer } = this.store.state;
    const result = { instruction: answer?.instruction ?? "", recipe, ...this.result() };
    try {
      const response = await this.api.about(picture, "/v1/download", { format, result });
      const name = fileName(response) ?? `${picture.name}.${format}`;
      save(format === "json" ? await this.told(response) : await response.blob(), name);
    } catch (problem) {
      complain(problem.message);
    }
  }

  /** Add to the JSON what the page alone knows. */
  async told(response) {
    const values = await response.json();
    const targets = this.store.state.targets.filter((target) => this.cutter.now(target));
    values.provenance = targets.map((target) => whose(target, this.cutter.now(target)));
    return new Blob([JSON.stringify(values, null, 1)], { type: "application/json" });
  }
}

/** Who each coordinate is from, points in the order of the prompt: those of the model and the person, then a refiner's. */
function whose(target, { seen: prompt }) {
  const found = provenance(target);
  const more = Math.max((prompt?.points.length ?? 0) - target.points.length, 0);
  return { ...found, points: [...found.points, ...Array(more).fill("refiner")], wrote: target.wrote };
}

const seen = ({ seen: prompt }) => (prompt ? { box: prompt.box, points: prompt.points, point_labels: prompt.point_labels } : {});

function fileName(response) {
  const header = response.headers.get("Content-Disposition") ?? "";
  const encoded = header.match(/filename\*=utf-8''([^;]+)/i)?.[1];
  return encoded ? decodeURIComponent(encoded) : (header.match(/filename="([^"]+)"/)?.[1] ?? null);
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = make("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
