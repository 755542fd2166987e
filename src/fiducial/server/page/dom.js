/** Elements made without markup: whatever comes from outside goes in as text. */

const SVG = "http://www.w3.org/2000/svg";

/** Find the one element with an id. */
export const byId = (id) => document.getElementById(id);

/** Make an element; attributes that are functions become event handlers, null and false leave an attribute out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  set(element, attributes);
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Make an icon that the page's own sheet of symbols has. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  set(svg, { class: "icon", "aria-hidden": "true" });
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Write attributes, those alone that differ. */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element[name] = value;
    else if (name === "text") {
      if (element.textContent !== String(value)) element.textContent = value;
    } else if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else {
      const text = value === true ? "" : String(value);
      if (element.getAttribute(name) !== text) element.setAttribute(name, text);
    }
  }
}

/** Elements of an SVG by key, kept between two drawings so that focus and a pointer's capture survive. */
export class Keyed {
  constructor() {
    this.nodes = new Map();
    this.used = new Set();
  }

  begin() {
    this.used.clear();
    this.places = new Map();
  }

  /** Return the element of a key, made when it is new, as the next child of its parent. */
  node(key, tag, parent, attributes) {
    let element = this.nodes.get(key);
    if (!element) {
      element = document.createElementNS(SVG, tag);
      this.nodes.set(key, element);
    }
    const place = this.places.get(parent) ?? 0;
    this.places.set(parent, place + 1);
    // Moving an element takes the focus from it: what has it stays where it is.
    if (element.parentNode !== parent) parent.insertBefore(element, parent.childNodes[place] ?? null);
    else if (parent.childNodes[place] !== element && !element.contains(document.activeElement)) {
      parent.insertBefore(element, parent.childNodes[place] ?? null);
    }
    this.used.add(key);
    set(element, attributes);
    return element;
  }

  /** Remove what was not drawn this time. */
  end() {
    for (const [key, element] of this.nodes) {
      if (!this.used.has(key)) {
        element.remove();
        this.nodes.delete(key);
      }
    }
  }
}

/**
 * Let the newest call alone wait while one runs; every call between is dropped.
 *
 * @returns what calls the work, and returns a promise that is kept when the newest call is done
 */
export function latest(work) {
  let wanted = false;
  let running = null;
  const all = async () => {
    while (wanted) {
      wanted = false;
      await work();
    }
  };
  return () => {
    wanted = true;
    running ??= all().finally(() => {
      running = null;
    });
    return running;
  };
}

/** Tell people who listen rather than look. */
export function announce(text) {
  byId("spoken").textContent = text;
}

/** Show what went wrong until it is put away or something else is done; "" takes it away. */
export function complain(text) {
  byId("problem-text").textContent = text;
  byId("problem").hidden = !text;
}

/** Whether an element takes letters itself. */
export const takesText = (element) =>
  element instanceof HTMLElement && (element.matches("input, textarea, select") || element.isContentEditable);

/** A number as people read it: no more digits after the point than are said, no zeros at the end. */
export const short = (value, digits = 1) => String(Number(value.toFixed(digits)));
