// @ts-check
// A picture with boxes over it, which can be drawn, moved, resized and removed.

import { h, svg } from "./base.js";

/** @typedef {{label: string, bbox: number[], score?: number | null, state?: string, shape?: string, points?: [number, number, boolean][]}} Box */
/** @typedef {{name: string, tone: string, boxes: Box[], dashed?: boolean}} Layer */
/**
 * @typedef {object} Edits
 * @property {(number: number, bbox: number[]) => void} moved a box, by its number from 1
 * @property {(bbox: number[]) => void} drawn a new one
 * @property {(number: number | null) => void} chosen
 */

const CORNERS = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
const LEAST = 2; // pixels of the picture: a shorter drag is a click

export class Viewer {
  /**
   * @param {HTMLElement} host
   * @param {Edits | null} edits
   */
  constructor(host, edits = null) {
    this.edits = edits;
    this.picture = h("img", { class: "picture", alt: "", draggable: "false" });
    this.map = h("img", { class: "map", alt: "", hidden: true });
    this.marks = svg("svg", { class: "marks", role: "group", "aria-label": "Boxes" });
    this.broken = h("p", { class: "broken", hidden: true });
    this.stage = h("div", { class: "stage" }, this.picture, this.map, this.marks, this.broken);
    host.append(this.stage);
    this.width = this.height = 1;
    /** @type {Layer[]} */
    this.layers = [];
    /** @type {Layer | null} */
    this.own = null;
    /** @type {number | null} */
    this.chosen = null;
    this.drawing = false;
    this.least = 0;
    /** @type {null | {kind: string, from: number[], start: number[], now: number[]}} */
    this.drag = null;
    this.picture.addEventListener("error", () => this.fail("The picture cannot be shown."));
    this.picture.addEventListener("load", () => {
      if (!this.sized) this.size(this.picture.naturalWidth, this.picture.naturalHeight);
    });
    this.sized = false;
    new ResizeObserver(() => this.draw()).observe(this.stage);
    this.marks.addEventListener("pointerdown", (event) => this.down(event));
    this.marks.addEventListener("pointermove", (event) => this.move(event));
    this.marks.addEventListener("pointerup", (event) => this.up(event));
    this.marks.addEventListener("pointercancel", () => this.cancel());
  }

  /**
   * Show a picture.
   * @param {{src: string, name: string, width: number | null, height: number | null, broken: string}} what
   */
  show({ src, name, width, height, broken }) {
    this.cancel();
    this.sized = Boolean(width && height);
    if (width && height) this.size(width, height);
    this.picture.alt = name;
    this.map.hidden = true;
    if (broken) this.fail(broken);
    else {
      this.broken.hidden = true;
      this.picture.hidden = this.marks.toggleAttribute("hidden", false);
      if (this.picture.getAttribute("src") !== src) this.picture.src = src;
    }
  }

  /** @param {string} why */
  fail(why) {
    this.picture.hidden = true;
    this.marks.toggleAttribute("hidden", true);
    this.broken.hidden = false;
    this.broken.textContent = why;
  }

  /** @param {number} width @param {number} height */
  size(width, height) {
    this.width = width;
    this.height = height;
    this.stage.style.setProperty("--ratio", String(width / height));
    // A picture of 32 pixels is easier to recognise at the size of a stamp than of a wall.
    this.stage.style.setProperty("--most", `${Math.max(384, 12 * width)}px`);
    this.marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.draw();
  }

  /** Lay a transparent picture over the picture; "" takes it away. @param {string} src */
  lay(src) {
    this.map.hidden = !src;
    if (src) this.map.src = src;
  }

  /**
   * Draw layers; the boxes of `own` can be edited.
   * @param {Layer[]} layers
   * @param {Layer | null} own
   * @param {number} least confidence of boxes with a score
   */
  set(layers, own, least) {
    this.layers = layers;
    this.own = own;
    this.least = least;
    if (this.chosen !== null && this.chosen > (own?.boxes.length ?? 0)) this.chosen = null;
    this.draw();
  }

  /** @param {number | null} number */
  choose(number) {
    this.chosen = number;
    this.draw();
    this.edits?.chosen(number);
  }

  /** Pixels of the picture for one of the screen. */
  get unit() {
    const width = this.stage.clientWidth;
    return width ? this.width / width : 1;
  }

  draw() {
    const focused = document.activeElement?.closest?.("[data-number]")?.getAttribute("data-number");
    this.marks.replaceChildren();
    for (const layer of this.layers) {
      const boxes = layer.boxes.filter((box) => (box.score ?? 1) >= this.least);
      for (const box of boxes) this.marks.append(this.mark(box, layer, null));
    }
    this.own?.boxes.forEach((box, at) => this.marks.append(this.mark(box, /** @type {Layer} */ (this.own), at + 1)));
    if (this.drag?.kind === "draw") this.marks.append(this.frame(this.drag.now, "new"));
    const again = focused && this.marks.querySelector(`[data-number="${focused}"]`);
    if (again instanceof SVGElement) again.focus({ preventScroll: true });
  }

  /** @param {number[]} bbox @param {string} tone */
  frame([x, y, width, height], tone) {
    return svg("rect", { class: `frame ${tone}`, x, y, width: Math.max(0, width), height: Math.max(0, height) });
  }

  /**
   * @param {Box} box
   * @param {Layer} layer
   * @param {number | null} number of a box that can be edited
   */
  mark(box, layer, number) {
    const chosen = number !== null && number === this.chosen;
    const bbox = chosen && this.drag && this.drag.kind !== "draw" ? this.drag.now : box.bbox;
    const [x, y] = bbox;
    const size = 12 * this.unit;
    const wrong = box.state && !["matched", "missed"].includes(box.state) ? `${box.state} ` : "";
    const score = box.score === null || box.score === undefined ? "" : ` ${box.score.toFixed(2)}`;
    const title = `${wrong}${box.label}${score}`;
    // What a model says stands at the foot of its box, so that it does not cover the truth.
    const over = y > size * 1.4 ? y - size * 0.35 : y + size * 1.1;
    const foot = bbox[1] + bbox[3] - size * 0.35;
    const text = svg("text", { x: x + size * 0.25, y: layer.dashed ? foot : over }, title);
    text.style.fontSize = `${size}px`; // of the picture
    const place = bbox.map((side) => Math.round(side)).join(", ");
    const editable = number !== null && this.edits !== null;
    const group = svg(
      "g",
      {
        class: `mark ${layer.tone}${layer.dashed ? " dashed" : ""}${chosen ? " chosen" : ""}`,
        "data-number": number,
        tabindex: editable ? 0 : null,
        role: editable ? "button" : null,
        "aria-pressed": editable ? String(chosen) : null,
        "aria-label": editable ? `Box ${number}: ${title}, ${place}` : null,
      },
      ...this.shape(box),
      this.frame(bbox, ""),
      text,
    );
    if (chosen && editable) for (const corner of CORNERS) group.append(this.handle(bbox, corner));
    if (editable) group.addEventListener("focus", () => this.chosen !== number && this.choose(number));
    return group;
  }

  /** The outline and the key points of a box. @param {Box} box */
  shape({ shape, points = [] }) {
    const dot = (/** @type {[number, number, boolean]} */ [cx, cy, seen]) =>
      svg("circle", { class: seen ? "point" : "point hidden", cx, cy, r: 3.5 * this.unit });
    return [...(shape ? [svg("path", { class: "shape", d: shape })] : []), ...points.map(dot)];
  }

  /** @param {number[]} bbox @param {string} corner */
  handle([x, y, width, height], corner) {
    const side = 9 * this.unit;
    const cx = x + (corner.includes("w") ? 0 : corner.includes("e") ? width : width / 2);
    const cy = y + (corner.includes("n") ? 0 : corner.includes("s") ? height : height / 2);
    return svg("rect", { class: `handle ${corner}`, "data-handle": corner, x: cx - side / 2, y: cy - side / 2, width: side, height: side });
  }

  /** Where the pointer is, in pixels of the picture. @param {PointerEvent} event */
  at(event) {
    const frame = this.marks.getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * this.width;
    const y = ((event.clientY - frame.top) / frame.height) * this.height;
    return [Math.min(this.width, Math.max(0, x)), Math.min(this.height, Math.max(0, y))];
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (!this.edits || event.button !== 0 || !(event.target instanceof Element)) return;
    const from = this.at(event);
    const handle = event.target.getAttribute("data-handle");
    const mark = event.target.closest("[data-number]");
    const number = mark ? Number(mark.getAttribute("data-number")) : null;
    event.preventDefault();
    if (handle && this.chosen !== null) this.begin(handle, from, this.box(this.chosen));
    else if (number !== null && !this.drawing) {
      this.choose(number);
      this.begin("move", from, this.box(number));
    } else {
      if (!this.drawing) this.choose(null);
      this.begin("draw", from, [from[0], from[1], 0, 0]);
    }
    this.marks.setPointerCapture(event.pointerId);
  }

  /** @param {number} number */
  box(number) {
    return this.own?.boxes[number - 1]?.bbox ?? [0, 0, 1, 1];
  }

  /** @param {string} kind @param {number[]} from @param {number[]} start */
  begin(kind, from, start) {
    this.drag = { kind, from, start, now: start };
    this.draw();
  }

  /** @param {PointerEvent} event */
  move(event) {
    if (!this.drag) return;
    const [x, y] = this.at(event);
    const { kind, from, start } = this.drag;
    this.drag.now = kind === "draw" ? spanned(from, [x, y]) : this.changed(kind, start, x - from[0], y - from[1]);
    this.draw();
  }

  /**
   * Return a box that was moved, or pulled at a side or a corner; it stays in the picture.
   * @param {string} kind "move" or a corner
   * @param {number[]} start
   * @param {number} dx
   * @param {number} dy
   */
  changed(kind, [x, y, width, height], dx, dy) {
    if (kind === "move") {
      const left = Math.min(Math.max(x + dx, Math.min(0, x)), Math.max(this.width - width, x));
      const top = Math.min(Math.max(y + dy, Math.min(0, y)), Math.max(this.height - height, y));
      return rounded([left, top, width, height]);
    }
    let [left, top, right, bottom] = [x, y, x + width, y + height];
    if (kind.includes("w")) left += dx;
    if (kind.includes("e")) right += dx;
    if (kind.includes("n")) top += dy;
    if (kind.includes("s")) bottom += dy;
    return spanned([left, top], [right, bottom]);
  }

  /** @param {PointerEvent} event */
  up(event) {
    const drag = this.drag;
    if (!drag) return;
    this.marks.releasePointerCapture(event.pointerId);
    this.drag = null;
    const [, , width, height] = drag.now;
    const far = Math.max(...drag.now.map((side, i) => Math.abs(side - drag.start[i])));
    if (drag.kind === "draw") {
      this.drawing = false;
      if (width >= LEAST && height >= LEAST) this.edits?.drawn(drag.now);
    } else if (this.chosen !== null && far > 0 && width >= 1 && height >= 1) this.edits?.moved(this.chosen, drag.now);
    this.draw();
  }

  cancel() {
    this.drag = null;
    this.drawing = false;
    this.draw();
  }
}

/** @param {number[]} one @param {number[]} other */
function spanned(one, other) {
  const left = Math.min(one[0], other[0]);
  const top = Math.min(one[1], other[1]);
  return rounded([left, top, Math.abs(one[0] - other[0]), Math.abs(one[1] - other[1])]);
}

/** @param {number[]} bbox */
function rounded(bbox) {
  return bbox.map((side) => Math.round(side * 10) / 10);
}
