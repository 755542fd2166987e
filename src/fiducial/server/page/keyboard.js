/** Everything that a pointer does, by keys. */

import { announce, byId, short, takesText } from "./dom.js";
import { PARTS } from "./drawing.js";
import { flipPoint, moveEdges, movePoint, moveWhole, removePoint } from "./targets.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const LARGE = 10; // pixels of the image that an arrow moves with Shift
const PANNED = 60; // pixels of the screen
const TOOLS = { v: "select", b: "box", p: "on", n: "beside", h: "pan" };

export class Keyboard {
  constructor(store, view, editing, actions) {
    this.store = store;
    this.view = view;
    this.editing = editing;
    this.actions = actions;
    this.svg = editing.svg;
    document.addEventListener("keydown", (event) => this.down(event));
    document.addEventListener("keyup", (event) => {
      if (event.key === " ") this.hold(false);
    });
    window.addEventListener("blur", () => this.hold(false));
  }

  down(event) {
    if (document.querySelector("dialog[open]")) return;
    const focus = document.activeElement;
    const done = takesText(focus) ? this.inText(event, focus) : this.command(event) || this.key(event, focus);
    if (done) event.preventDefault();
  }

  inText(event, focus) {
    if (event.key !== "Escape") return false;
    focus.blur();
    this.svg.focus();
    return true;
  }

  command(event) {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return false;
    const key = event.key.toLowerCase();
    if (key === "z") return this.actions.step(event.shiftKey ? "redo" : "undo");
    if (key === "y") return this.actions.step("redo");
    return false;
  }

  key(event, focus) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const onStage = this.svg.contains(focus);
    if (event.key in ARROWS) return onStage && this.arrow(event, focus);
    if (event.key === "Enter") return onStage && this.enter(focus);
    if (event.key === " ") return (onStage && this.flip(focus)) || (!focus.closest("button, summary") && this.hold(true));
    if (event.key === "Escape") return this.escape();
    if (event.key === "Delete" || event.key === "Backspace") return this.remove(focus);
    if (event.key.toLowerCase() in TOOLS) return this.actions.choose(TOOLS[event.key.toLowerCase()]);
    return this.letter(event.key);
  }

  letter(key) {
    const does = {
      g: () => this.actions.toggle("grid"),
      m: () => this.actions.toggle("masks"),
      "+": () => this.view.zoom(1.25),
      "=": () => this.view.zoom(1.25),
      "-": () => this.view.zoom(0.8),
      0: () => this.view.fit(),
      1: () => this.view.zoom(1 / this.view.scale),
      "]": () => this.next(1),
      "[": () => this.next(-1),
      o: () => this.actions.pictures(),
      r: () => this.actions.reply(),
      "/": () => byId("instruction").focus(),
      "?": () => this.actions.help(),
    }[key.toLowerCase()];
    does?.();
    return Boolean(does);
  }

  hold(held) {
    this.editing.space = held;
    this.svg.classList.toggle("panning", held);
    return held;
  }

  /** Tell the target's part that has the focus: {id, part, place}. */
  focused(focus) {
    const part = focus?.closest?.("[data-part]");
    return part ? { id: Number(part.dataset.id), part: part.dataset.part, place: Number(part.dataset.place) } : null;
  }

  arrow(event, focus) {
    const step = event.shiftKey ? LARGE : 1;
    const [dx, dy] = ARROWS[event.key].map((one) => one * step);
    const at = this.focused(focus);
    const target = this.store.target(at?.id);
    if (!target) {
      this.view.pan((-dx * PANNED) / step, (-dy * PANNED) / step);
      return true;
    }
    const { picture } = this.store.state;
    const part = at?.part ?? "whole";
    const moved =
      part === "point" ? movePoint(target, at.place, dx, dy, picture)
      : part === "whole" ? moveWhole(target, dx, dy, picture)
      : moveEdges(target, part, dx, dy, picture);
    this.store.replace(target.id, moved, `nudge ${target.id} ${part} ${at?.place ?? ""}`);
    announce(`${PARTS[part] ?? (part === "point" ? "point" : "target")}: ${where(moved, part, at?.place)}`);
    return true;
  }

  /** Do in the middle of what is in sight what the tool does under a pointer. */
  enter(focus) {
    const { tool, picture } = this.store.state;
    if (!picture || this.focused(focus)) return false;
    const [x1, y1, x2, y2] = this.view.seen;
    const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
    const box = this.store.target()?.box;
    if (tool === "box") {
      const side = Math.min(x2 - x1, y2 - y1) / 3;
      const round = Math.round;
      this.editing.addBox([x - side / 2, y - side / 2, x + side / 2, y + side / 2].map(round));
      this.focusPart("nw");
    } else if (tool === "on" || tool === "beside") {
      this.editing.addPoint(box ? [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] : [x, y]);
      this.focusPart("point");
    } else return false;
    this.store.settle();
    return true;
  }

  /** Focus a part of the selected target: its last point, or a handle of its box. */
  focusPart(part) {
    this.actions.drawNow();
    const parts = this.svg.querySelectorAll(`[data-id="${this.store.state.selected}"][data-part="${part}"][tabindex]`);
    parts[parts.length - 1]?.focus();
  }

  flip(focus) {
    const at = this.focused(focus);
    if (at?.part !== "point") return false;
    const target = this.store.target(at.id);
    this.store.replace(at.id, flipPoint(target, at.place));
    announce(target.kinds[at.place] ? "point beside the target" : "point on the target");
    return true;
  }

  escape() {
    if (this.editing.cancel()) return true;
    if (this.store.state.tool !== "select") return this.actions.choose("select");
    this.store.update({ selected: null });
    return true;
  }

  remove(focus) {
    const at = this.focused(focus);
    const target = this.store.target(at?.id);
    if (!target) return false;
    const left = at?.part === "point" ? removePoint(target, at.place) : null;
    this.store.replace(target.id, left);
    announce(left ? "point deleted" : "target deleted");
    this.svg.focus();
    return true;
  }

  next(step) {
    const { targets, selected } = this.store.state;
    if (!targets.length) return;
    const now = targets.findIndex((one) => one.id === selected);
    const target = targets[(now < 0 ? (step > 0 ? 0 : targets.length - 1) : now + step + targets.length) % targets.length];
    this.actions.select(target.id);
    this.actions.drawNow();
    this.svg.querySelector(`[data-id="${target.id}"][tabindex]`)?.focus();
  }
}

function where(target, part, place) {
  if (part === "point") return target.points[place].map((value) => short(value)).join(", ");
  return (target.box ?? target.points[0]).map((value) => short(value)).join(", ");
}
