/** What the page knows, in one place; whoever wants to know of changes subscribes. */

const MAX_MOMENTS = 200;

/**
 * The page's state.
 *
 * What can be undone is a moment, {answer, targets}: an answer and the coordinates as they are. Everything else (tool,
 * selection, what is shown) is no part of it.
 */
export class Store {
  constructor() {
    this.state = {
      picture: null, // {digest, width, height, name, blob, bitmap, truth, instruction}
      recipes: [],
      recipe: "",
      refinersKnown: [],
      refiners: [],
      dialects: [],
      answer: null, // {instruction, outcome, text, thinking, repairs, seconds, from}
      targets: [],
      selected: null,
      tool: "select",
      masks: true,
      grid: false,
      busy: "",
    };
    this.past = [];
    this.future = [];
    this.key = null;
    this.watchers = [];
  }

  /** Call back after every change, with the state. */
  subscribe(watcher) {
    this.watchers.push(watcher);
  }

  /** Change what is no part of a moment. */
  update(changes) {
    Object.assign(this.state, changes);
    this.tell();
  }

  /** Begin with a picture: nothing can be undone. */
  open(picture) {
    this.past = [];
    this.future = [];
    this.key = null;
    this.update({ picture, answer: null, targets: [], selected: null, tool: "select" });
  }

  /**
   * Make a new moment that can be undone.
   *
   * @param changes targets and, where there is a new one, answer
   * @param key moments made one after the other under one key are one step back; null is a step of its own
   */
  commit(changes, key = null) {
    if (key === null || key !== this.key) {
      this.past.push(this.moment());
      if (this.past.length > MAX_MOMENTS) this.past.shift();
    }
    this.key = key;
    this.future = [];
    this.update(changes);
    this.keepSelection();
  }

  /** Replace one target, or take it away where there is none; see commit. */
  replace(id, target, key = null) {
    const targets = this.state.targets.flatMap((one) => (one.id === id ? (target ? [target] : []) : [one]));
    this.commit({ targets }, key);
  }

  /** End what is done under one key: the next is a step of its own. */
  settle() {
    this.key = null;
  }

  /** Take back what was done under a key, as if it had not been. */
  cancel(key) {
    if (this.key !== key || !this.past.length) return;
    this.key = null;
    this.restore(this.past.pop());
  }

  undo() {
    if (!this.past.length) return false;
    this.future.push(this.moment());
    this.key = null;
    this.restore(this.past.pop());
    return true;
  }

  redo() {
    if (!this.future.length) return false;
    this.past.push(this.moment());
    this.key = null;
    this.restore(this.future.pop());
    return true;
  }

  /** Return the target with an id, or the selected one. */
  target(id = this.state.selected) {
    return this.state.targets.find((one) => one.id === id) ?? null;
  }

  moment() {
    return { answer: this.state.answer, targets: this.state.targets };
  }

  restore(moment) {
    Object.assign(this.state, moment);
    if (!this.target()) this.state.selected = null;
    this.tell();
  }

  keepSelection() {
    if (this.state.selected !== null && !this.target()) this.update({ selected: null });
  }

  tell() {
    for (const watcher of this.watchers) watcher(this.state);
  }
}
