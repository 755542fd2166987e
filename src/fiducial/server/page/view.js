/** Where the picture lies on the stage: a scale and a shift. */

const MARGIN = 28; // pixels of the screen around a picture that is fitted
const MAX_SCALE = 64;
const KEPT = 60; // pixels of the screen: so much of the picture stays in sight

export class View {
  constructor() {
    this.onChange = () => {};
    this.stage = { width: 1, height: 1 };
    this.picture = null;
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.fitted = true;
  }

  /** Take a new picture, or null, and show it whole. */
  open(picture) {
    this.picture = picture;
    this.fit();
  }

  /** Take a new size of the stage. */
  resize(width, height) {
    const [x, y] = this.toImage(this.stage.width / 2, this.stage.height / 2);
    this.stage = { width, height };
    if (this.fitted) this.fit();
    else this.centre(x, y);
  }

  get fitScale() {
    const { width, height } = this.picture;
    const margin = Math.min(MARGIN, this.stage.width / 16);
    return Math.max(
      0.01,
      Math.min((this.stage.width - 2 * margin) / width, (this.stage.height - 2 * margin) / height, MAX_SCALE / 4),
    );
  }

  /** Show the whole picture. */
  fit() {
    this.fitted = true;
    if (!this.picture) return this.onChange();
    this.scale = this.fitScale;
    this.x = (this.stage.width - this.picture.width * this.scale) / 2;
    this.y = (this.stage.height - this.picture.height * this.scale) / 2;
    this.onChange();
  }

  /** Zoom by a factor; the place sx, sy of the stage stays where it is. */
  zoom(factor, sx = this.stage.width / 2, sy = this.stage.height / 2) {
    if (!this.picture) return;
    const scale = Math.min(Math.max(this.scale * factor, Math.min(this.fitScale, 1) / 2), MAX_SCALE);
    const [x, y] = this.toImage(sx, sy);
    this.scale = scale;
    this.x = sx - x * scale;
    this.y = sy - y * scale;
    this.fitted = false;
    this.keep();
  }

  /** Shift by pixels of the screen. */
  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.keep();
  }

  /** Put a place of the image in the middle. */
  centre(x, y) {
    this.x = this.stage.width / 2 - x * this.scale;
    this.y = this.stage.height / 2 - y * this.scale;
    this.keep();
  }

  /** Move a box of the image into sight, where it is not. */
  reveal([x1, y1, x2, y2]) {
    const [left, top] = this.toStage(x1, y1);
    const [right, bottom] = this.toStage(x2, y2);
    const seen = right > KEPT && bottom > KEPT && left < this.stage.width - KEPT && top < this.stage.height - KEPT;
    if (!seen) this.centre((x1 + x2) / 2, (y1 + y2) / 2);
  }

  keep() {
    if (this.picture) {
      const { width, height } = this.picture;
      this.x = Math.min(Math.max(this.x, KEPT - width * this.scale), this.stage.width - KEPT);
      this.y = Math.min(Math.max(this.y, KEPT - height * this.scale), this.stage.height - KEPT);
    }
    this.onChange();
  }

  toImage = (sx, sy) => [(sx - this.x) / this.scale, (sy - this.y) / this.scale];
  toStage = (x, y) => [x * this.scale + this.x, y * this.scale + this.y];

  /** Return the part of the image that is in sight, x1, y1, x2, y2. */
  get seen() {
    const [x1, y1] = this.toImage(0, 0);
    const [x2, y2] = this.toImage(this.stage.width, this.stage.height);
    return [Math.max(x1, 0), Math.max(y1, 0), Math.min(x2, this.picture.width), Math.min(y2, this.picture.height)];
  }
}
