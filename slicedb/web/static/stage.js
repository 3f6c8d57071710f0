// @ts-check
// The stage of the map: the points on a canvas that is moved, zoomed, looked at and drawn on.

import { svg } from "./base.js";
import { dotSize, encircled, MARGIN, nearest, paint, picture } from "./cloud.js";
import { outlined } from "./outline.js";

/** @typedef {import("./cloud.js").Cloud} Cloud */
/** @typedef {import("./cloud.js").Placing} Placing */
/** @typedef {import("./outline.js").Corner} Corner */
/** @typedef {"pan" | "lasso" | "rectangle"} Tool */

/** Where the middle of the stage is on the map, and pixels of the page for a unit of the map. */
/** @typedef {{x: number, y: number, scale: number}} View */
/** @typedef {{low: Corner, step: Corner}} Grid */

/**
 * @typedef {object} Wishes what the stage tells
 * @property {() => number} room bytes that the text of an outline may have
 * @property {(text: string, corners: Corner[]) => void} outline an outline was drawn: its text, and its corners on the map
 * @property {(point: number, x: number, y: number) => void} look the pointer is at a point, or at none (-1)
 * @property {(point: number, apart: boolean) => void} open a point was clicked; apart: in a new tab
 * @property {(view: View) => void} moved the view was changed
 */

/** Steps of the grid that a pixel shows at the least: nothing is finer. */
const FINEST = 0.5;
/** Pixels of the page that stay free around all points, and above them for the tools. */
const PADDING = 24;
const ABOVE = 56;
const REACH = 7;
const CLICK = 230;
const STEP = 60;

export class Stage {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {SVGSVGElement} over
   * @param {Wishes} wishes
   */
  constructor(canvas, over, wishes) {
    this.canvas = canvas;
    this.wishes = wishes;
    /** @type {Cloud | null} */
    this.cloud = null;
    /** @type {Grid} */
    this.grid = { low: [0, 0], step: [1, 1] };
    /** @type {View} */
    this.view = { x: 0, y: 0, scale: 1 };
    this.palette = new Uint32Array(256);
    this.grey = 0;
    /** @type {Tool} */
    this.tool = "pan";
    this.ratio = 1;
    this.picture = picture(1, 1);
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.asked = svg("g", null);
    this.drawn = svg("path", { class: "drawn" });
    this.ring = svg("circle", { class: "ring", r: REACH + 1, visibility: "hidden" });
    this.cross = svg("path", { class: "cross" });
    over.append(this.asked, this.drawn, this.ring, this.cross);
    /** Outlines of the query, on the map. @type {Corner[][]} */
    this.outlines = [];
    this.looked = -1;
    /** The view that the points came with. @type {View | null} */
    this.begun = null;
    this.painting = 0;
    /** Whether an outline is being drawn. */
    this.isDrawing = false;
    this.follow();
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  /** Pixels of the page. */
  get width() {
    return this.canvas.clientWidth;
  }

  get height() {
    return this.canvas.clientHeight;
  }

  /**
   * Show other points, which may still be coming.
   * @param {Cloud} cloud
   * @param {Grid} grid
   * @param {View | null} view where to look; null shows all
   */
  show(cloud, grid, view) {
    this.cloud = cloud;
    this.grid = grid;
    this.looked = -1;
    this.begun = view;
    this.begin();
  }

  /** Show the view that the points came with; all of them where there was none. */
  begin() {
    if (this.begun === null) this.fit();
    else this.move(this.begun);
  }

  /** Show all points. */
  fit() {
    const [wide, high] = this.grid.step.map((step) => step * 65535);
    const [width, height] = [this.width - 2 * PADDING, this.height - PADDING - ABOVE];
    const scale = Math.max(Math.min(width / wide, height / high), 1e-12);
    const [x, y] = this.grid.low;
    this.move({ x: x + wide / 2, y: y + high / 2 + (ABOVE - PADDING) / 2 / scale, scale });
  }

  /** @param {View} view */
  move(view) {
    const finest = 1 / (FINEST * Math.max(...this.grid.step));
    this.view = { ...view, scale: Math.min(view.scale, finest) };
    this.look(-1, 0, 0);
    this.paint();
    this.wishes.moved(this.view);
  }

  /**
   * Move by pixels of the page.
   * @param {number} dx
   * @param {number} dy
   */
  shift(dx, dy) {
    const { x, y, scale } = this.view;
    this.move({ x: x - dx / scale, y: y + dy / scale, scale });
  }

  /**
   * Zoom, with what is at a pixel of the page staying there.
   * @param {number} factor
   * @param {number} [left]
   * @param {number} [top]
   */
  zoom(factor, left = this.width / 2, top = this.height / 2) {
    const [x, y] = this.mapped([left, top]);
    this.move({ ...this.view, scale: this.view.scale * factor });
    const { scale } = this.view;
    this.move({ x: x - (left - this.width / 2) / scale, y: y + (top - this.height / 2) / scale, scale });
  }

  /**
   * Return the coordinates on the map of a pixel of the page.
   * @param {Corner} pixel
   * @returns {Corner}
   */
  mapped([left, top]) {
    const { x, y, scale } = this.view;
    return [x + (left - this.width / 2) / scale, y - (top - this.height / 2) / scale];
  }

  /**
   * Return the pixel of the page of coordinates on the map.
   * @param {Corner} place
   * @returns {Corner}
   */
  placed([x, y]) {
    const { scale } = this.view;
    return [this.width / 2 + (x - this.view.x) * scale, this.height / 2 - (y - this.view.y) * scale];
  }

  /** @returns {Placing} */
  placing() {
    const [ox, oy] = this.placed(this.grid.low);
    const scale = this.view.scale * this.ratio;
    const [sx, sy] = this.grid.step;
    return { ox: ox * this.ratio, oy: oy * this.ratio, sx: sx * scale, sy: -sy * scale };
  }

  /** Paint before the next frame. */
  paint() {
    if (this.painting) return;
    this.painting = requestAnimationFrame(() => {
      this.painting = 0;
      this.painted();
    });
  }

  /** Paint now. */
  painted() {
    const { cloud } = this;
    if (cloud === null) return;
    const start = performance.now();
    const { width, height } = this.picture;
    const placing = this.placing();
    const dot = dotSize(cloud, placing, width, height, this.ratio);
    paint(this.picture, cloud, placing, this.palette, this.grey, dot);
    this.context.putImageData(this.picture.image, -MARGIN, -MARGIN);
    this.trace();
    this.tell("painted", start);
  }

  /**
   * Tell how long something took, for those who measure.
   * @param {string} what
   * @param {number} start
   */
  tell(what, start) {
    const detail = { seconds: (performance.now() - start) / 1000, points: this.cloud?.loaded ?? 0 };
    this.canvas.dispatchEvent(new CustomEvent(what, { detail, bubbles: true }));
  }

  /** Draw the outlines of the query and the cross in the middle. */
  trace() {
    this.asked.replaceChildren(
      ...this.outlines.map((corners) => svg("path", { class: "asked", d: path(corners.map((c) => this.placed(c))) })),
    );
    const [x, y] = [this.width / 2, this.height / 2];
    this.cross.setAttribute("d", `M${x - 12} ${y}h24M${x} ${y - 12}v24`);
  }

  resize() {
    this.ratio = Math.min(devicePixelRatio || 1, 2);
    const [width, height] = [this.width, this.height].map((side) => Math.max(1, Math.round(side * this.ratio)));
    if (width === this.picture.width && height === this.picture.height) return;
    const first = this.picture.width === 1;
    [this.canvas.width, this.canvas.height] = [width, height];
    this.picture = picture(width, height);
    if (first && this.cloud) this.begin();
    this.painted();
  }

  /**
   * Return the point at a pixel of the page, -1 for none.
   * @param {number} left
   * @param {number} top
   * @param {number} [reach] pixels of the page
   */
  pointAt(left, top, reach = REACH) {
    if (this.cloud === null) return -1;
    const { ratio } = this;
    return nearest(this.cloud, this.placing(), left * ratio, top * ratio, reach * ratio);
  }

  /** Return the point nearest to the middle. */
  middle() {
    for (let reach = 8; reach < Math.max(this.width, this.height); reach *= 3) {
      const point = this.pointAt(this.width / 2, this.height / 2, reach);
      if (point >= 0) return point;
    }
    return -1;
  }

  /**
   * Return the pixel of the page of a point.
   * @param {number} point
   * @returns {Corner}
   */
  pixelOf(point) {
    const word = this.cloud?.at[point] ?? 0;
    const [low, step] = [this.grid.low, this.grid.step];
    return this.placed([low[0] + (word & 65535) * step[0], low[1] + (word >>> 16) * step[1]]);
  }

  /**
   * @param {number} point
   * @param {number} x
   * @param {number} y
   */
  look(point, x, y) {
    this.canvas.parentElement?.classList.toggle("over", point >= 0 && this.tool === "pan");
    if (point >= 0) {
      const [cx, cy] = this.pixelOf(point);
      this.ring.setAttribute("cx", String(cx));
      this.ring.setAttribute("cy", String(cy));
    }
    this.ring.setAttribute("visibility", point >= 0 ? "visible" : "hidden");
    if (point === this.looked) return;
    this.looked = point;
    this.wishes.look(point, x, y);
  }

  /**
   * Take an outline: the points that it encloses are shown at once, and its text is told.
   * @param {Corner[]} pixels of the page
   */
  take(pixels) {
    this.drawn.removeAttribute("d");
    if (this.cloud === null) return;
    const start = performance.now();
    const found = outlined(pixels, (corner) => this.mapped(corner), 1 / this.view.scale, this.wishes.room());
    if (found === null) return;
    this.wishes.outline(found.text, found.corners);
    this.tell("outlined", start);
  }

  /**
   * Return which points an outline encloses, one byte for each.
   * @param {Corner[]} pixels of the page
   */
  enclosed(pixels) {
    const { ratio } = this;
    const corners = pixels.map(([x, y]) => /** @type {Corner} */ ([x * ratio, y * ratio]));
    const cloud = /** @type {Cloud} */ (this.cloud);
    return encircled(cloud, this.placing(), corners, this.picture.width, this.picture.height);
  }

  /** Take what is on the stage. */
  takeAll() {
    const [w, h] = [this.width, this.height];
    this.take([[0, 0], [w, 0], [w, h], [0, h]]);
  }

  /** Follow the pointer, the wheel and the keys. */
  follow() {
    const { canvas } = this;
    /** @type {Corner[]} */
    let trail = [];
    /** @type {Tool} */
    let tool = "pan";
    let down = false;
    let far = 0;
    let clicks = 0;
    /** @type {Corner} */
    let start = [0, 0];
    /** @type {Corner} */
    let last = [0, 0];

    /** @param {MouseEvent} event @returns {Corner} */
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    /** @param {Corner} to */
    const drag = (to) => {
      if (tool === "pan") this.shift(to[0] - last[0], to[1] - last[1]);
      else if (tool === "rectangle") trail = rectangle(start, to);
      else if (Math.hypot(to[0] - last[0], to[1] - last[1]) < 1) return;
      else trail.push(to);
      last = to;
      if (tool === "pan") return;
      this.isDrawing = true;
      this.drawn.setAttribute("d", path(trail));
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 && event.button !== 1) return;
      canvas.setPointerCapture(event.pointerId);
      tool = event.button === 1 ? "pan" : event.shiftKey ? "lasso" : this.tool;
      start = last = at(event);
      [down, far, trail] = [true, 0, [start]];
    });
    canvas.addEventListener("pointermove", (event) => {
      const to = at(event);
      if (!down) {
        this.look(this.pointAt(...to), ...to);
        return;
      }
      far = Math.max(far, Math.hypot(to[0] - start[0], to[1] - start[1]));
      if (far < 3) return;
      this.look(-1, 0, 0);
      canvas.parentElement?.classList.toggle("moving", tool === "pan");
      const between = tool === "lasso" ? (event.getCoalescedEvents?.() ?? []) : [];
      for (const each of between.length ? between : [event]) drag(at(each));
    });
    /** @param {PointerEvent} event */
    const up = (event) => {
      if (!down) return;
      down = this.isDrawing = false;
      canvas.parentElement?.classList.remove("moving");
      if (far < 3) return click(event);
      if (tool !== "pan") this.take(trail);
    };
    /** @param {PointerEvent} event */
    const click = (event) => {
      this.drawn.removeAttribute("d");
      const point = this.pointAt(...at(event));
      const apart = event.ctrlKey || event.metaKey || event.button === 1;
      const number = ++clicks;
      // A second click soon after it is a double click, which zooms.
      if (point >= 0) setTimeout(() => number === clicks && this.wishes.open(point, apart), CLICK);
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", () => this.cancel());
    canvas.addEventListener("pointerleave", () => !down && this.look(-1, 0, 0));
    this.cancel = () => {
      down = this.isDrawing = false;
      this.drawn.removeAttribute("d");
    };
    canvas.addEventListener("dblclick", (event) => {
      clicks++;
      this.zoom(event.shiftKey ? 0.5 : 2, ...at(event));
    });
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const lines = event.deltaMode === 1 ? 30 : 1;
        this.zoom(Math.exp(-Math.max(-300, Math.min(300, event.deltaY * lines)) / 400), ...at(event));
      },
      { passive: false },
    );
  }

  /** Give up the outline that is being drawn; `follow` knows how. */
  cancel() {}

  /**
   * Move by a key's direction.
   * @param {-1 | 0 | 1} right
   * @param {-1 | 0 | 1} below
   */
  step(right, below) {
    this.shift(-right * STEP, -below * STEP);
  }
}

/** @param {readonly Corner[]} corners */
function path(corners) {
  return `M${corners.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}Z`;
}

/**
 * @param {Corner} from
 * @param {Corner} to
 * @returns {Corner[]}
 */
function rectangle([x0, y0], [x1, y1]) {
  return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
}
