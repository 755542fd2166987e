/** Pointers on the stage: select, drag, draw, zoom and pan. */

import { announce } from "./dom.js";
import { addPoint, boxOf, drawn, moveEdges, movePoint, moveWhole } from "./targets.js";

const CLICK = 4; // pixels of the screen: a pointer that moved less has clicked
const WHEEL = 0.0016;
let drags = 0;

export class Editing {
  constructor(store, view, drawing) {
    this.store = store;
    this.view = view;
    this.drawing = drawing;
    this.svg = drawing.svg;
    this.pointers = new Map();
    this.drag = null;
    this.space = false; // held: the pointer pans
    this.svg.addEventListener("pointerdown", (event) => this.down(event));
    this.svg.addEventListener("pointermove", (event) => this.move(event));
    this.svg.addEventListener("pointerup", (event) => this.up(event));
    this.svg.addEventListener("pointercancel", (event) => this.up(event, true));
    this.svg.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.svg.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  place(event) {
    const frame = this.svg.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  }

  down(event) {
    if (!this.store.state.picture || event.button > 1) return;
    this.pointers.set(event.pointerId, this.place(event));
    this.svg.setPointerCapture(event.pointerId);
    if (this.pointers.size === 2) {
      this.cancel();
      this.drag = { kind: "pinch" };
      return;
    }
    const part = event.target.closest("[data-part]");
    this.drag = this.begin(event, part);
    if (part?.hasAttribute("tabindex")) part.focus({ preventScroll: true });
    else this.svg.focus({ preventScroll: true });
    event.preventDefault();
  }

  /** Return what a pointer that goes down here begins: {kind, key, start, ...}. */
  begin(event, part) {
    const { tool, selected } = this.store.state;
    const start = this.place(event);
    const drag = { key: `drag ${++drags}`, start, at: this.view.toImage(...start), moved: false };
    if (this.space || event.button === 1 || tool === "pan") return { ...drag, kind: "pan" };
    if (tool === "box") return { ...drag, kind: "sketch" };
    const id = part ? Number(part.dataset.id) : null;
    if (tool === "on" || tool === "beside") {
      if (part?.dataset.part !== "point") return { ...drag, kind: "place" };
    }
    if (!part) return { ...drag, kind: this.view.fitted ? "nothing" : "pan", deselect: true };
    if (id !== selected) this.store.update({ selected: id });
    return { ...drag, kind: "edit", id, part: part.dataset.part, number: Number(part.dataset.place), from: this.store.target(id) };
  }

  move(event) {
    const here = this.place(event);
    this.onHover?.(this.view.toImage(...here));
    if (!this.pointers.has(event.pointerId)) return;
    const before = this.pointers.get(event.pointerId);
    if (this.drag?.kind === "pinch") this.pinch(event.pointerId, here);
    this.pointers.set(event.pointerId, here);
    const drag = this.drag;
    if (!drag || drag.kind === "pinch") return;
    const far = Math.hypot(here[0] - drag.start[0], here[1] - drag.start[1]);
    drag.moved ||= far >= CLICK;
    if (!drag.moved) return;
    const [x, y] = this.view.toImage(...here);
    if (drag.kind === "pan") this.view.pan(here[0] - before[0], here[1] - before[1]);
    if (drag.kind === "sketch") {
      this.drawing.sketch = boxOf(drag.at, [x, y], this.store.state.picture);
      this.drawing.later();
    }
    if (drag.kind === "edit") this.edit(drag, x - drag.at[0], y - drag.at[1]);
  }

  edit({ key, id, part, number, from }, dx, dy) {
    const { picture } = this.store.state;
    const target =
      part === "point" ? movePoint(from, number, dx, dy, picture)
      : part === "whole" ? moveWhole(from, dx, dy, picture)
      : moveEdges(from, part, dx, dy, picture);
    this.store.replace(id, target, key);
  }

  up(event, gone = false) {
    this.pointers.delete(event.pointerId);
    const drag = this.drag;
    if (!drag) return;
    if (drag.kind === "pinch") {
      if (!this.pointers.size) this.drag = null;
      return;
    }
    this.drag = null;
    if (gone) return this.cancelled(drag);
    if (drag.kind === "sketch") this.finishSketch(drag.moved);
    if (drag.kind === "place") this.addPoint(drag.at);
    if (drag.deselect && !drag.moved) this.store.update({ selected: null });
    this.store.settle();
  }

  /** Stop what a pointer does, as if it had not begun; returns whether there was anything. */
  cancel() {
    const drag = this.drag;
    this.drag = null;
    if (!drag) return false;
    this.cancelled(drag);
    return true;
  }

  cancelled(drag) {
    if (drag.kind === "edit") this.store.cancel(drag.key);
    this.drawing.sketch = null;
    this.drawing.later();
  }

  finishSketch(moved) {
    const box = this.drawing.sketch;
    this.drawing.sketch = null;
    if (moved && box) this.addBox(box);
  }

  /** Make a target of a box x1, y1, x2, y2 in pixels of the image. */
  addBox(box) {
    const target = drawn({ box, label: this.store.target()?.label ?? null });
    this.store.commit({ targets: [...this.store.state.targets, target] });
    this.store.update({ selected: target.id, tool: "select" });
    announce(`new target ${this.store.state.targets.length}`);
  }

  /** Add a point to the selected target, or begin a target with it. */
  addPoint([x, y]) {
    const { picture, tool, targets } = this.store.state;
    if (x < 0 || y < 0 || x > picture.width || y > picture.height) return;
    const kind = tool === "on" ? 1 : 0;
    const target = this.store.target();
    if (target) this.store.replace(target.id, addPoint(target, [x, y], kind));
    else if (kind) {
      const fresh = addPoint(drawn({}), [x, y], 1);
      this.store.commit({ targets: [...targets, fresh] });
      this.store.update({ selected: fresh.id });
    } else announce("select a target first: a point beside nothing means nothing");
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    this.view.zoom(Math.exp(-event.deltaY * lines * WHEEL), ...this.place(event));
  }

  pinch(id, here) {
    const other = [...this.pointers].find(([key]) => key !== id)?.[1];
    const before = this.pointers.get(id);
    if (!other) return;
    const apart = (a, b) => Math.max(Math.hypot(a[0] - b[0], a[1] - b[1]), 1);
    const middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    const [now, was] = [middle(here, other), middle(before, other)];
    this.view.pan(now[0] - was[0], now[1] - was[1]);
    this.view.zoom(apart(here, other) / apart(before, other), ...now);
  }
}
