/** Keeps the masks in step with the coordinates: what nobody has cut yet is asked for, one request at a time. */

import { latest } from "./dom.js";
import { Mask } from "./masks.js";
import { asPrompt, canBeCut, geometryOf } from "./targets.js";

const MAX_KEPT = 1000;
const AT_ONCE = 64; // targets of one request

/**
 * Cuts targets, and remembers what was cut: undoing shows at once what there was.
 *
 * A target's cut is {mask, score, seen, refinements}: seen is the prompt after the refiners. Targets are cut one by one,
 * whatever others there are, so that a step of a drag sends the one that moves.
 */
export class Cutter {
  constructor(store, api, onChange) {
    this.store = store;
    this.api = api;
    this.onChange = onChange;
    this.cuts = new Map();
    this.failures = new Map();
    this.last = new Map(); // by target: what is shown until the newest is there
    this.waiting = false;
    this.follow = latest(() => this.cutMissing());
  }

  key(target, refiners = this.store.state.refiners) {
    const { picture, recipe } = this.store.state;
    return JSON.stringify([picture.digest, recipe, refiners, geometryOf(target)]);
  }

  /** Return the target's cut, or the one before it while it is waited for; null where there is none. */
  of(target) {
    if (!canBeCut(target)) return null;
    const found = this.cuts.get(this.key(target));
    if (found) this.last.set(target.id, found);
    return found ?? this.last.get(target.id) ?? null;
  }

  /** Return the target's cut as it is now, null where there is none. */
  now(target) {
    return this.cuts.get(this.key(target)) ?? null;
  }

  /** Return why a target could not be cut, "" where it could. */
  failure(target) {
    return this.failures.get(this.key(target)) ?? "";
  }

  /** Whether every target has its mask. */
  get done() {
    return this.missing().length === 0;
  }

  /** Remember the cuts that an answer came with, one per target; no refiner had a part in them. */
  keep(targets, answer) {
    this.keepUnder(targets.map((target) => this.key(target, [])), answer);
    for (const target of targets) this.last.set(target.id, this.cuts.get(this.key(target, [])) ?? null);
  }

  missing() {
    const { picture, targets } = this.store.state;
    if (!picture) return [];
    const known = (key) => this.cuts.has(key) || this.failures.has(key);
    return targets.filter((one) => canBeCut(one) && !known(this.key(one))).slice(0, AT_ONCE);
  }

  async cutMissing() {
    for (let targets = this.missing(); targets.length; targets = this.missing()) {
      const { picture, recipe, refiners } = this.store.state;
      const keys = targets.map((target) => this.key(target));
      const prompts = { frame: "pixels", targets: targets.map(asPrompt) };
      const started = performance.now();
      this.waiting = true;
      try {
        const response = await this.api.about(picture, "/v1/cut", { recipe, options: { refine: refiners }, prompts });
        const answer = await response.json();
        if (answer.masks.length !== targets.length) throw new Error(answer.text || "not every target could be cut");
        // Under the keys of when it was asked: meanwhile the state may be another.
        this.keepUnder(keys, answer);
        performance.clearMeasures("cut");
        performance.measure("cut", { start: started, end: performance.now() });
      } catch (error) {
        for (const key of keys) this.failures.set(key, error.message);
      }
      this.waiting = false;
      this.onChange();
    }
  }

  keepUnder(keys, answer) {
    answer.masks.forEach((code, number) => {
      this.cuts.set(keys[number], {
        mask: new Mask(code),
        score: answer.scores[number],
        seen: answer.prompts[number],
        refinements: answer.refinements?.[number] ?? [],
      });
    });
    const most = Math.max(MAX_KEPT, 2 * this.store.state.targets.length); // never what is shown
    while (this.cuts.size > most) this.cuts.delete(this.cuts.keys().next().value);
  }

  /** Try again what failed. */
  retry() {
    this.failures.clear();
    this.follow();
  }
}
