/** Draws the stage: picture and grid on a canvas, masks on one over it, coordinates as an SVG over both. */

import { colourOf, readableOn } from "./colours.js";
import { Keyed, short } from "./dom.js";
import { provenance } from "./targets.js";

const CELLS = 9; // along each side of the grid, as SJTU draws it
const SIDES = { n: "top edge", e: "right edge", s: "bottom edge", w: "left edge" };
const CORNERS = { nw: "top left corner", ne: "top right corner", se: "bottom right corner", sw: "bottom left corner" };
const LARGE_PIXELS = 3; // pixels of the screen
const ROOM_FOR_EDGES = 64; // pixels of the screen: a shorter side has no handle in its middle

/** What the parts of a box are called. */
export const PARTS = { ...SIDES, ...CORNERS };

export class Drawing {
  /** @param stage the element that holds the canvases and the SVG, all of its size */
  constructor(stage, store, cutter, view) {
    this.store = store;
    this.cutter = cutter;
    this.view = view;
    this.picture = stage.querySelector("#picture");
    this.cuts = stage.querySelector("#cuts");
    this.svg = stage.querySelector("svg");
    this.keyed = new Keyed();
    this.sketch = null; // a box that is being drawn, x1, y1, x2, y2
    this.wanted = false;
    this.measure = document.createElement("canvas").getContext("2d");
    new ResizeObserver(([entry]) => view.resize(entry.contentRect.width, entry.contentRect.height)).observe(stage);
  }

  /** Draw before the next frame. */
  later() {
    if (this.wanted) return;
    this.wanted = true;
    requestAnimationFrame(() => {
      this.wanted = false;
      this.draw();
    });
  }

  draw() {
    const { state } = this.store;
    this.drawPicture(state);
    this.drawCuts(state);
    this.keyed.begin();
    if (state.picture) {
      this.order(state.targets).forEach(({ target, number }) => this.drawTarget(target, number, state));
      if (this.sketch) this.drawSketch();
    }
    this.keyed.end();
  }

  /** Return the targets as they lie: large ones below small ones, the selected on top. */
  order(targets) {
    const size = ({ box }) => (box ? (box[2] - box[0]) * (box[3] - box[1]) : 0);
    const rank = ({ target }) => (target.id === this.store.state.selected ? -1 : size(target));
    return targets.map((target, number) => ({ target, number })).sort((a, b) => rank(b) - rank(a));
  }

  // -- canvases -------------------------------------------------------------------------------------

  /** Draw the picture and the grid, where they or their place are others than before. */
  drawPicture({ picture, grid }) {
    const { scale, x, y, stage } = this.view;
    const ratio = window.devicePixelRatio || 1;
    const wanted = JSON.stringify([picture?.digest, grid, scale, x, y, stage, ratio]);
    if (wanted === this.pictureDrawn) return;
    this.pictureDrawn = wanted;
    const context = this.clear(this.picture, ratio);
    if (!picture) return;
    context.imageSmoothingEnabled = scale < LARGE_PIXELS; // enlarged pixels stay squares, so that a mask's true edge can be seen
    context.imageSmoothingQuality = "high";
    const enough = picture.small.width >= picture.width * scale * ratio;
    context.drawImage(enough ? picture.small : picture.bitmap, 0, 0, picture.width, picture.height);
    if (grid) drawGrid(context, picture, 1 / scale);
  }

  /** Draw the masks, where they or their place are others than before. */
  drawCuts({ picture, targets, masks }) {
    const { scale, x, y, stage } = this.view;
    const ratio = window.devicePixelRatio || 1;
    const cuts = masks && picture ? this.order(targets).map(({ target, number }) => [this.cutter.of(target)?.mask, number]) : [];
    const wanted = [scale, x, y, stage.width, stage.height, ratio, ...cuts.flat()];
    if (wanted.length === this.cutsDrawn?.length && wanted.every((one, place) => one === this.cutsDrawn[place])) return;
    this.cutsDrawn = wanted;
    const context = this.clear(this.cuts, ratio);
    context.imageSmoothingEnabled = scale < LARGE_PIXELS;
    drawMasks(context, cuts.filter(([mask]) => mask?.box), 1 / scale);
  }

  /** Empty a canvas of the stage's size; returns its context, in pixels of the image. */
  clear(canvas, ratio) {
    const { scale, x, y, stage } = this.view;
    const [width, height] = [Math.round(stage.width * ratio), Math.round(stage.height * ratio)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    context.setTransform(scale * ratio, 0, 0, scale * ratio, x * ratio, y * ratio);
    return context;
  }

  // -- coordinates ----------------------------------------------------------------------------------

  drawTarget(target, number, state) {
    const selected = target.id === state.selected;
    const who = provenance(target);
    const name = `target ${number + 1}${target.label ? `, ${target.label}` : ""}`;
    const group = this.keyed.node(`target ${target.id}`, "g", this.svg, {
      class: selected ? "target selected" : "target",
      color: colourOf(number),
    });
    const node = (key, tag, attributes) => this.keyed.node(`${target.id} ${key}`, tag, group, attributes);
    const part = { "data-id": target.id };
    if (target.box) this.drawBox(target, who, selected, node, part, name);
    this.drawSeen(target, node);
    target.points.forEach((point, place) => this.drawPoint(point, place, target, who, selected, node, part, name));
    this.drawTag(target, number, node, part);
  }

  drawBox(target, who, selected, node, part, name) {
    const [x1, y1] = this.view.toStage(target.box[0], target.box[1]);
    const [x2, y2] = this.view.toStage(target.box[2], target.box[3]);
    const rectangle = (box) => ({ x: box[0], y: box[1], width: Math.max(box[2] - box[0], 0), height: Math.max(box[3] - box[1], 0) });
    node("inside", "rect", { class: "inside", "data-part": "whole", ...part, ...rectangle([x1, y1, x2, y2]) });
    const wrote = target.wrote?.box;
    if (selected && wrote && who.box.includes("person")) {
      const ghost = [...this.view.toStage(wrote[0], wrote[1]), ...this.view.toStage(wrote[2], wrote[3])];
      node("ghost", "rect", { class: "ghost", ...rectangle(ghost) });
    }
    const lines = { n: [x1, y1, x2, y1, 1], e: [x2, y1, x2, y2, 2], s: [x1, y2, x2, y2, 3], w: [x1, y1, x1, y2, 0] };
    for (const [side, [ax, ay, bx, by]] of Object.entries(lines)) {
      node(`under ${side}`, "line", { class: "under", x1: ax, y1: ay, x2: bx, y2: by });
    }
    for (const [side, [ax, ay, bx, by, edge]] of Object.entries(lines)) {
      const from = who.box[edge];
      node(`line ${side}`, "line", { class: `edge ${from}`, x1: ax, y1: ay, x2: bx, y2: by });
    }
    if (!selected) return;
    for (const [side, [ax, ay, bx, by]] of Object.entries(lines)) {
      node(`grip ${side}`, "line", { class: `grip ${side}`, "data-part": side, ...part, x1: ax, y1: ay, x2: bx, y2: by });
    }
    const middle = { n: [(x1 + x2) / 2, y1], e: [x2, (y1 + y2) / 2], s: [(x1 + x2) / 2, y2], w: [x1, (y1 + y2) / 2] };
    const corner = { nw: [x1, y1], ne: [x2, y1], se: [x2, y2], sw: [x1, y2] };
    const room = { n: x2 - x1, s: x2 - x1, e: y2 - y1, w: y2 - y1 };
    for (const [handle, [x, y]] of Object.entries({ ...corner, ...middle })) {
      const label = `${PARTS[handle]} of ${name}: ${spoken(target.box, handle)}`;
      this.drawHandle(handle, x, y, label, handle.length > 1 || room[handle] >= ROOM_FOR_EDGES, node, part);
    }
  }

  drawHandle(handle, x, y, label, shown, node, part) {
    const vertical = handle === "e" || handle === "w";
    const [width, height] = handle.length > 1 ? [11, 11] : vertical ? [6, 18] : [18, 6];
    const grab = { "data-part": handle, ...part, tabindex: 0, role: "button", "aria-label": label };
    const group = node(`handle ${handle}`, "g", { class: `handle ${handle}`, ...grab, transform: `translate(${x} ${y})` });
    const inside = (key, tag, attributes) => this.keyed.node(`${part["data-id"]} ${handle} ${key}`, tag, group, attributes);
    inside("area", "circle", { class: "area", r: shown ? 13 : 0 });
    inside("mark", "rect", { class: "mark", x: -width / 2, y: -height / 2, width, height, rx: handle.length > 1 ? 2 : 3,
      visibility: shown ? "visible" : "hidden" });
  }

  /** Draw the points that a refiner added. */
  drawSeen(target, node) {
    const seen = this.cutter.of(target)?.seen;
    const own = (point) => target.points.some((other) => Math.hypot(other[0] - point[0], other[1] - point[1]) < 0.01);
    const added = (seen?.points ?? []).filter((point) => !own(point));
    added.forEach((point, place) => {
      const [x, y] = this.view.toStage(point[0], point[1]);
      const kind = seen.point_labels[place + seen.points.length - added.length];
      const shape = node(`added ${place}`, "path", { class: kind === 0 ? "added beside" : "added", d: "M0-7L7 0 0 7-7 0Z", transform: `translate(${x} ${y})` });
      this.keyed.node(`${target.id} added title ${place}`, "title", shape, { text: "point that a refiner added" });
    });
  }

  drawPoint(point, place, target, who, selected, node, part, name) {
    const [x, y] = this.view.toStage(point[0], point[1]);
    const on = target.kinds[place] === 1;
    const from = who.points[place] === "model" ? "the model's" : "yours";
    const label = `point ${on ? "on" : "beside"} ${name}, ${from}: x ${short(point[0])}, y ${short(point[1])}`;
    const group = node(`point ${place}`, "g", {
      class: `point ${on ? "on" : "beside"} ${who.points[place]}`, "data-part": "point", "data-place": place, ...part,
      tabindex: selected ? 0 : null, role: "button", "aria-label": label, transform: `translate(${x} ${y})`,
    });
    const inside = (key, tag, attributes) => this.keyed.node(`${target.id} point ${place} ${key}`, tag, group, attributes);
    inside("area", "circle", { class: "area", r: 14 });
    inside("rim", "circle", { class: "rim", r: 8.5 });
    inside("disc", "circle", { class: "disc", r: 7 });
    inside("sign", "path", { class: "sign", d: on ? "M-3.5 0H3.5M0-3.5V3.5" : "M-2.8-2.8L2.8 2.8M-2.8 2.8L2.8-2.8" });
  }

  drawTag(target, number, node, part) {
    const mask = this.cutter.of(target)?.mask;
    const box = target.box ?? mask?.box ?? [...target.points[0], ...target.points[0]];
    const [x1, y1] = this.view.toStage(box[0], box[1]);
    const colour = colourOf(number);
    const text = cut(`${number + 1}${target.label ? `  ${target.label}` : ""}`, 34);
    this.measure.font = "600 12px system-ui, sans-serif";
    const width = this.measure.measureText(text).width + 12;
    const high = 19;
    const y = y1 - high - 7 < 2 ? y1 + 7 : y1 - high - 7;
    const x = Math.min(Math.max(x1 - 1, 2), Math.max(this.view.stage.width - width - 2, 2));
    node("tag", "rect", { class: "tag", "data-part": "whole", ...part, x, y, width, height: high, rx: 4 });
    node("name", "text", { class: "name", x: x + 6, y: y + 13.5, fill: readableOn(colour), text });
  }

  drawSketch() {
    const [x1, y1] = this.view.toStage(this.sketch[0], this.sketch[1]);
    const [x2, y2] = this.view.toStage(this.sketch[2], this.sketch[3]);
    this.keyed.node("sketch", "rect", this.svg, { class: "sketch", x: x1, y: y1, width: x2 - x1, height: y2 - y1 });
  }
}

const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

function spoken([x1, y1, x2, y2], handle) {
  const x = handle.includes("w") ? x1 : handle.includes("e") ? x2 : null;
  const y = handle.includes("n") ? y1 : handle.includes("s") ? y2 : null;
  return [x === null ? "" : `x ${short(x)}`, y === null ? "" : `y ${short(y)}`].filter(Boolean).join(", ");
}

function drawMasks(context, cuts, pixel) {
  for (const [mask, number] of cuts) context.drawImage(mask.tinted(colourOf(number)), mask.box[0], mask.box[1]);
  context.lineCap = "round";
  for (const [mask, number] of cuts) {
    const outline = mask.outline(pixel < 1 / LARGE_PIXELS);
    context.strokeStyle = "rgb(16 17 20 / 0.45)";
    context.lineWidth = 3 * pixel;
    context.stroke(outline);
    context.strokeStyle = colourOf(number);
    context.lineWidth = 1.5 * pixel;
    context.stroke(outline);
  }
}

function drawGrid(context, { width, height }, pixel) {
  const path = new Path2D();
  for (let line = 1; line < CELLS; line++) {
    path.moveTo((line * width) / CELLS, 0);
    path.lineTo((line * width) / CELLS, height);
    path.moveTo(0, (line * height) / CELLS);
    path.lineTo(width, (line * height) / CELLS);
  }
  context.lineWidth = 2.5 * pixel;
  context.strokeStyle = "rgb(255 255 255 / 0.35)";
  context.stroke(path);
  context.lineWidth = pixel;
  context.strokeStyle = "rgb(0 0 0 / 0.65)";
  context.stroke(path);
}
