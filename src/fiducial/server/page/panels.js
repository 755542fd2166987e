/** The panel beside the picture: the answer, the targets, the refiners. */

import { colourOf, readableOn } from "./colours.js";
import { byId, icon, make, set, short } from "./dom.js";
import { origin, provenance } from "./targets.js";

const OUTCOMES = {
  found: "found",
  no_target: "no target",
  malformed: "reply not readable",
  truncated: "reply broke off",
  failed: "not answered",
};
const WIDE = matchMedia("(min-width: 861px)"); // where the panel scrolls by itself
const EDGES = ["x1", "y1", "x2", "y2"];

export class Panels {
  constructor(store, cutter, actions) {
    this.store = store;
    this.cutter = cutter;
    this.actions = actions;
    this.rows = new Map();
    this.shownAnswer = undefined;
  }

  draw() {
    const { state } = this.store;
    this.drawAnswer(state);
    this.drawTargets(state);
    this.drawRefiners(state);
  }

  // -- answer ---------------------------------------------------------------------------------------

  drawAnswer({ answer, busy, picture }) {
    const shown = JSON.stringify([answer, busy, Boolean(picture)]);
    if (shown === this.shownAnswer) return;
    this.shownAnswer = shown;
    const place = byId("answer");
    if (busy) return place.replaceChildren(make("p", { class: "soft", text: busy }));
    if (!answer) {
      const text = picture ? "Say what to segment, or draw a box (B)." : "Nothing was asked yet.";
      return place.replaceChildren(make("p", { class: "soft", text }));
    }
    if (answer !== this.lastAnswer && WIDE.matches) place.closest(".panel").scrollTop = 0;
    this.lastAnswer = answer;
    const seconds = short(answer.seconds?.total ?? 0, 2);
    const head = make(
      "p",
      { class: "head" },
      make("span", { class: `outcome ${answer.outcome}`, text: OUTCOMES[answer.outcome] ?? answer.outcome }),
      answer.from === "reply" ? make("span", { class: "soft", text: "read from a reply" }) : null,
      seconds === "0" ? null : make("span", { class: "soft", text: `${seconds} s` }),
    );
    place.replaceChildren(
      ...[
        head,
        answer.instruction ? make("p", { class: "asked", text: answer.instruction }) : null,
        answer.text ? make("p", { class: "words", text: answer.text }) : null,
        folded("Thinking", answer.thinking ? [make("p", { class: "words", text: answer.thinking })] : []),
        folded(
          counted(answer.repairs?.length ?? 0, "repair"),
          (answer.repairs ?? []).map((repair) => make("p", { class: "words", text: repair })),
        ),
      ].filter(Boolean),
    );
  }

  // -- targets --------------------------------------------------------------------------------------

  drawTargets({ targets, selected, picture, busy }) {
    const list = byId("targets");
    byId("targets-count").textContent = targets.length ? String(targets.length) : "";
    for (const [id, row] of this.rows) {
      if (!targets.some((target) => target.id === id)) {
        row.item.remove();
        this.rows.delete(id);
      }
    }
    targets.forEach((target, number) => {
      const row = this.rows.get(target.id) ?? this.makeRow(target);
      if (list.children[number] !== row.item) list.insertBefore(row.item, list.children[number] ?? null);
      this.drawRow(row, target, number, target.id === selected);
    });
    const moved = targets.some((target) => target.wrote && provenance(target).box?.includes("person"));
    byId("targets-key").hidden = !moved;
    this.empty ??= make("li", { class: "soft none" });
    const text = picture && !busy ? "None. Press B and draw a box, or P and click." : "None.";
    set(this.empty, { text });
    if (targets.length) this.empty.remove();
    else list.append(this.empty);
  }

  makeRow({ id }) {
    const number = make("span", { class: "number" });
    const name = make("span", { class: "label" });
    const facts = make("span", { class: "soft small" });
    const head = make(
      "button",
      { type: "button", class: "choose", onclick: () => this.actions.select(id) },
      number,
      make("span", { class: "about" }, name, facts),
    );
    const remove = make(
      "button",
      { type: "button", class: "quiet square", title: "Delete (Del)", onclick: () => this.actions.remove(id) },
      icon("delete"),
      make("span", { class: "unseen" }),
    );
    const details = make("div", { class: "details" });
    const item = make("li", {}, make("div", { class: "line" }, head, remove), details);
    const row = { item, head, number, name, facts, remove, details, shape: null };
    this.rows.set(id, row);
    return row;
  }

  drawRow(row, target, number, selected) {
    const colour = colourOf(number);
    const cut = this.cutter.of(target);
    const failure = this.cutter.failure(target);
    row.number.style.background = colour;
    row.number.style.color = readableOn(colour);
    set(row.number, { text: number + 1 });
    set(row.name, { text: target.label ?? "target", class: target.label ? "label" : "label soft" });
    const facts = [
      target.score === null ? null : `score ${short(target.score, 2)}`,
      cut ? `${cut.mask.area.toLocaleString("en")} px` : "no mask",
      cut && cut.score !== null && cut.score !== target.score ? `mask ${short(cut.score, 2)}` : null,
      origin(target),
    ];
    set(row.facts, { text: facts.filter(Boolean).join(" · ") });
    set(row.item, { class: selected ? "target selected" : "target" });
    if (selected && this.followed !== target.id && WIDE.matches) row.item.scrollIntoView({ block: "nearest" });
    if (selected) this.followed = target.id;
    set(row.head, { "aria-current": selected ? "true" : null });
    set(row.remove.lastChild, { text: `Delete target ${number + 1}` });
    row.details.hidden = !selected && !failure;
    if (!selected && !failure) return;
    const shape = JSON.stringify([Boolean(target.box), target.kinds, selected, failure, cut?.refinements, target.wrote === null]);
    if (row.shape !== shape) {
      row.shape = shape;
      this.fillDetails(row, target, selected, failure, cut);
    }
    for (const refresh of row.refresh) refresh(target);
  }

  fillDetails(row, target, selected, failure, cut) {
    row.refresh = [];
    const parts = failure ? [make("p", { class: "failure", text: failure }), this.makeRetry()] : [];
    if (selected) {
      parts.push(this.makeLabel(row, target.id));
      if (target.box) parts.push(this.makeBox(row, target.id));
      parts.push(...target.kinds.map((kind, place) => this.makePoint(row, target.id, kind, place)));
      parts.push(...(cut?.refinements ?? []).map(report));
    }
    row.details.replaceChildren(...parts);
  }

  makeRetry() {
    return make("button", { type: "button", text: "Try again", onclick: () => this.actions.retry() });
  }

  makeLabel(row, id) {
    const input = make("input", {
      type: "text", class: "name", spellcheck: "false", placeholder: "target",
      onchange: () => this.change(id, (one) => ({ ...one, label: input.value.trim() || null })),
    });
    row.refresh.push((one) => write(input, one.label ?? "", provenance(one).label));
    return make("label", { class: "field" }, make("span", { text: "label" }), input);
  }

  makeBox(row, id) {
    const fields = EDGES.map((name, edge) => {
      const input = this.makeNumber((value) =>
        this.change(id, (one) => ({ ...one, box: one.box.map((old, side) => (side === edge ? value : old)) })),
      );
      row.refresh.push((one) => one.box && write(input, short(one.box[edge]), provenance(one).box[edge]));
      return make("label", { class: "field" }, make("span", { text: name }), input);
    });
    return make("div", { class: "numbers" }, ...fields);
  }

  makePoint(row, id, kind, place) {
    const fields = ["x", "y"].map((name, axis) => {
      const input = this.makeNumber((value) =>
        this.change(id, (one) => ({
          ...one,
          points: one.points.map((old, number) => (number === place ? old.map((was, at) => (at === axis ? value : was)) : old)),
        })),
      );
      row.refresh.push((one) => one.points[place] && write(input, short(one.points[place][axis]), provenance(one).points[place]));
      return make("label", { class: "field" }, make("span", { text: name }), input);
    });
    const sign = kind === 1 ? "on" : "beside";
    const flip = make(
      "button",
      { type: "button", class: "quiet square", title: `A point ${sign} the target: turn it around`, onclick: () => this.actions.flip(id, place) },
      icon(sign),
      make("span", { class: "unseen", text: `Point ${place + 1}, ${sign} the target: turn it around` }),
    );
    const remove = make(
      "button",
      { type: "button", class: "quiet square", title: "Delete this point", onclick: () => this.actions.removePoint(id, place) },
      icon("delete"),
      make("span", { class: "unseen", text: `Delete point ${place + 1}` }),
    );
    return make("div", { class: "numbers point" }, flip, ...fields, remove);
  }

  makeNumber(take) {
    const input = make("input", {
      type: "number", step: "any", inputmode: "decimal",
      onchange: () => {
        const value = input.valueAsNumber;
        if (Number.isFinite(value)) take(value);
        this.store.settle();
        this.draw();
      },
    });
    return input;
  }

  /** Change a target by what was typed; numbers that make no box inside the picture are put back. */
  change(id, edit) {
    const target = edit(this.store.target(id));
    const { width, height } = this.store.state.picture;
    const inside = ([x, y]) => x >= 0 && y >= 0 && x <= width && y <= height;
    const [x1, y1, x2, y2] = target.box ?? [0, 0, 1, 1];
    if (x1 < x2 && y1 < y2 && inside([x1, y1]) && inside([x2, y2]) && target.points.every(inside)) {
      this.store.replace(id, target);
    }
  }

  // -- refiners -------------------------------------------------------------------------------------

  drawRefiners({ refinersKnown, refiners }) {
    const place = byId("refiners");
    if (this.refinersShown !== refinersKnown) {
      this.refinersShown = refinersKnown;
      place.replaceChildren(
        ...refinersKnown.map(({ name, summary }) => {
          const box = make("input", { type: "checkbox", value: name, onchange: () => this.actions.refine(name, box.checked) });
          const said = make("span", {}, make("b", { text: name }), make("span", { class: "soft small", text: summary }));
          return make("label", { class: "refiner" }, box, said);
        }),
      );
    }
    for (const box of place.querySelectorAll("input")) box.checked = refiners.includes(box.value);
  }
}

/** Write a value into a field, unless somebody is typing there; who: "model" or "person". */
function write(input, value, who) {
  if (document.activeElement !== input || input.type === "number") {
    if (document.activeElement !== input) input.value = value;
  }
  set(input, { "data-from": who, title: who === "model" ? "as the model wrote it" : "yours" });
}

/** Tell what a refiner did. */
function report({ refiner, changed, reason, figures }) {
  const numbers = Object.entries(figures ?? {}).map(([name, value]) => {
    const shown = typeof value === "number" ? short(value, 3) : value;
    return make("li", {}, make("span", { class: "soft", text: name.replaceAll("_", " ") }), make("span", { text: shown }));
  });
  return make(
    "div",
    { class: "report" },
    make("p", {}, make("b", { text: refiner }), ` ${changed ? "changed it" : "left it"}: `, make("span", { text: reason })),
    numbers.length ? make("ul", {}, ...numbers) : null,
  );
}

const counted = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

function folded(title, parts) {
  return parts.length ? make("details", {}, make("summary", { text: title }), ...parts) : null;
}
