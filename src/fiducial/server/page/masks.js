/** Masks as the server writes them: COCO's run-length codes, column by column. */

import { channels } from "./colours.js";

const TINT = 0.4;

/** Read the compressed counts of a code: lengths of runs, outside first. */
export function readCounts(text) {
  const counts = [];
  let place = 0;
  while (place < text.length) {
    let value = 0;
    let shift = 0;
    let code;
    do {
      code = text.charCodeAt(place++) - 48;
      value |= (code & 31) << shift;
      shift += 5;
    } while (code & 32 && place < text.length);
    if (code & 16) value |= -1 << shift;
    counts.push(counts.length > 2 ? value + counts[counts.length - 2] : value);
  }
  return counts;
}

/** The pixels of one target. */
export class Mask {
  /** @param code {size: [height, width], counts: text or list} */
  constructor(code) {
    [this.height, this.width] = code.size;
    this.code = code;
    const counts = typeof code.counts === "string" ? readCounts(code.counts) : code.counts;
    const pieces = []; // column, top, bottom
    let start = 0;
    let [left, top, right, bottom] = [this.width, this.height, 0, 0];
    this.area = 0;
    counts.forEach((length, number) => {
      const end = start + length;
      if (number % 2 && length) {
        this.area += length;
        for (let at = start; at < end; ) {
          const column = Math.floor(at / this.height);
          const stop = Math.min(end, (column + 1) * this.height);
          const piece = [column, at - column * this.height, stop - column * this.height];
          pieces.push(piece);
          [left, right] = [Math.min(left, column), Math.max(right, column + 1)];
          [top, bottom] = [Math.min(top, piece[1]), Math.max(bottom, piece[2])];
          at = stop;
        }
      }
      start = end;
    });
    this.pieces = pieces;
    this.box = pieces.length ? [left, top, right, bottom] : null;
  }

  /** Return the dense pixels of the tight box, row by row, 1 inside. */
  get patch() {
    if (!this.dense) {
      const [left, top, right, bottom] = this.box ?? [0, 0, 0, 0];
      const width = right - left;
      this.dense = { width, height: bottom - top, pixels: new Uint8Array(width * (bottom - top)) };
      for (const [column, first, last] of this.pieces) {
        for (let row = first - top, place = row * width + column - left; row < last - top; row++, place += width) {
          this.dense.pixels[place] = 1;
        }
      }
    }
    return this.dense;
  }

  /** Return a canvas of the tight box with the pixels tinted; null where there are none. */
  tinted(colour) {
    if (!this.box) return null;
    if (this.tintedIn !== colour) {
      const { width, height, pixels } = this.patch;
      const [red, green, blue] = channels(colour);
      const image = new ImageData(width, height);
      const words = new Uint32Array(image.data.buffer);
      const word = (Math.round(TINT * 255) << 24) | (blue << 16) | (green << 8) | red; // little-endian, as every browser
      for (let place = 0; place < pixels.length; place++) if (pixels[place]) words[place] = word;
      this.canvas = new OffscreenCanvas(width, height);
      this.canvas.getContext("2d").putImageData(image, 0, 0);
      this.tintedIn = colour;
    }
    return this.canvas;
  }

  /**
   * Return the border between inside and outside as a path in pixels of the image.
   *
   * @param exact along the edges of pixels; else smoothed by half a pixel
   */
  outline(exact) {
    const name = exact ? "exactly" : "smoothly";
    if (!this[name]) {
      this[name] = new Path2D();
      if (this.box) (exact ? traceInto : marchInto)(this[name], this.patch, this.box[0], this.box[1]);
    }
    return this[name];
  }
}

/** Draw the border along the edges of pixels. */
function traceInto(path, { width, height, pixels }, left, top) {
  const at = (x, y) => x >= 0 && y >= 0 && x < width && y < height && pixels[y * width + x] === 1;
  const trace = (rows, columns, differs, line) => {
    for (let row = 0; row <= rows; row++) {
      let start = -1;
      for (let column = 0; column <= columns; column++) {
        const edge = column < columns && differs(row, column);
        if (edge && start < 0) start = column;
        if (!edge && start >= 0) {
          line(row, start, column);
          start = -1;
        }
      }
    }
  };
  trace(height, width, (y, x) => at(x, y) !== at(x, y - 1), (y, from, to) => {
    path.moveTo(left + from, top + y);
    path.lineTo(left + to, top + y);
  });
  trace(width, height, (x, y) => at(x, y) !== at(x - 1, y), (x, from, to) => {
    path.moveTo(left + x, top + from);
    path.lineTo(left + x, top + to);
  });
}

/** Draw the contour half way between pixels inside and outside, by marching squares: smooth where pixels are small. */
function marchInto(path, { width, height, pixels }, left, top) {
  const at = (x, y) => x >= 0 && y >= 0 && x < width && y < height && pixels[y * width + x] === 1;
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      const [a, b, c, d] = [at(x - 1, y - 1), at(x, y - 1), at(x, y), at(x - 1, y)];
      if (a === b && b === c && c === d) continue;
      const crossed = [a !== b && [0, -0.5], a !== d && [-0.5, 0], b !== c && [0.5, 0], c !== d && [0, 0.5]];
      crossed.filter(Boolean).forEach(([dx, dy], number) => {
        if (number % 2) path.lineTo(left + x + dx, top + y + dy);
        else path.moveTo(left + x + dx, top + y + dy);
      });
    }
  }
}

/** Return the intersection over union of all masks together with the true one; both empty: 1. */
export function iouWith(masks, truth) {
  const { width, height } = truth;
  const [found, meant] = [masks, [truth]].map((some) => {
    const dense = new Uint8Array(width * height);
    for (const { pieces } of some) {
      for (const [column, first, last] of pieces) dense.fill(1, column * height + first, column * height + last);
    }
    return dense;
  });
  let [shared, either] = [0, 0];
  for (let place = 0; place < found.length; place++) {
    shared += found[place] & meant[place];
    either += found[place] | meant[place];
  }
  return either ? shared / either : 1;
}
