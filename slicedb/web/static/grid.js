// @ts-check
// The pictures of a query: only those on screen are elements, and the scroll bar stands for all of them.

import { h } from "./base.js";

/** @typedef {import("./packs.js").Packs} Packs */
/** @typedef {import("./packs.js").Sample} Sample */

/**
 * @typedef {object} Listener
 * @property {(index: number) => void} onOpen
 * @property {(index: number, how: "one" | "toggle" | "range") => void} onPick
 * @property {() => void} onPlace the first sample on screen is another one.
 * @property {(row: Record<string, unknown>) => string} caption what stands below a picture.
 * @property {(row: Record<string, unknown>) => Element | null} marks what is drawn over it.
 */

/** Browsers end a scroll bar somewhere between 17 and 33 million pixels: above this it is scaled. */
const TALLEST = 8_000_000;
const GAP = 4;
const CAPTION = 18;
/** Screens from either end within which a scaled bar is moved here. */
const NEAR = 20;
/** Rows drawn beyond either edge. */
const BEYOND = 1;

export class Grid {
  /**
   * @param {HTMLElement} scroller
   * @param {Set<string>} selected ids of the selected samples
   * @param {Listener} listener
   * @param {number} ratio width over height of a picture's place
   */
  constructor(scroller, selected, listener, ratio = 1) {
    this.scroller = scroller;
    this.shape = ratio;
    this.selected = selected;
    this.listener = listener;
    this.strip = h("div", { class: "strip", role: "none" });
    this.pane = h("div", { class: "pane", role: "none" }, this.strip);
    this.height = h("div", { class: "height", role: "none" }, this.pane);
    scroller.replaceChildren(this.height);
    /** @type {Map<number, HTMLElement>} */
    this.tiles = new Map();
    /** @type {Packs | null} */
    this.packs = null;
    this.count = 0;
    this.cursor = -1;
    this.size = 132;
    this.columns = 1;
    this.tile = 132;
    this.row = 132 + GAP;
    this.view = 0;
    /** Pixels of the whole result above the upper edge; the truth, of which the scroll bar is a picture. */
    this.offset = 0;
    this.direction = 1;
    this.base = 0;
    this.bar = 0;
    this.due = 0;
    /** The first place on screen when it was drawn last. */
    this.drawn = -1;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.idle = undefined;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    scroller.addEventListener("wheel", (event) => this.#turned(event), { passive: false });
    new ResizeObserver(() => this.#resized()).observe(scroller);
    this.strip.addEventListener("click", (event) => this.#clicked(event));
    this.strip.addEventListener("error", (event) => this.#broken(event), true);
    this.measure();
  }

  // Places

  /** The first sample that is wholly on screen, or the first of all. */
  get place() {
    return Math.min(Math.ceil((this.offset - 1) / this.row) * this.columns, Math.max(0, this.count - 1));
  }

  get rows() {
    return Math.ceil(this.count / this.columns);
  }

  /** The greatest offset. */
  get most() {
    return Math.max(0, this.rows * this.row + GAP - this.view);
  }

  /** Pixels of the result for one of the scroll bar. */
  get ratio() {
    const run = this.height.clientHeight - this.view;
    return run > 0 && this.most > run ? this.most / run : 1;
  }

  /**
   * Show a result, or the same in another state, with a sample at the upper edge.
   * @param {Packs} packs
   * @param {number} count
   * @param {number} [at] the place of a sample; left out, everything stays where it is
   * @param {boolean} [isOther] whether these are other samples, so that no picture of those before may stay
   */
  show(packs, count, at, isOther = false) {
    if (packs !== this.packs) for (const tile of this.tiles.values()) tile.dataset.old = "";
    if (isOther) this.#empty();
    this.packs = packs;
    this.count = count;
    this.scroller.setAttribute("aria-label", count === 1 ? "1 sample" : `${count.toLocaleString("en")} samples`);
    if (this.cursor >= count) this.cursor = count - 1;
    this.measure();
    this.#move(at === undefined ? this.offset : Math.floor(at / this.columns) * this.row);
  }

  /** Take all tiles away; those on screen are made anew. */
  #empty() {
    for (const tile of this.tiles.values()) tile.remove();
    this.tiles.clear();
  }

  /** Another size of tiles; what was at the upper edge, or the cursor, stays in sight. @param {number} size */
  resize(size) {
    if (size === this.size) return;
    this.size = size;
    this.#resized();
  }

  /** Put the cursor on a sample and bring it into sight. @param {number} index */
  go(index) {
    if (!this.count) return;
    this.cursor = Math.max(0, Math.min(index, this.count - 1));
    const top = Math.floor(this.cursor / this.columns) * this.row;
    if (top < this.offset) this.#move(top);
    else if (top + this.row + GAP > this.offset + this.view) this.#move(top + this.row + GAP - this.view);
    else this.#draw();
  }

  /** Rows that fit on the screen. */
  get page() {
    return Math.max(1, Math.floor(this.view / this.row));
  }

  /** Draw again what depends on the selection. */
  marked() {
    for (const [index, tile] of this.tiles) this.#mark(tile, index);
  }

  /** Draw again soon, since something arrived. */
  refresh() {
    if (!this.due) this.due = requestAnimationFrame(() => this.#draw());
  }

  /** Whether all tiles on screen have what they show. */
  get complete() {
    const [first, last] = this.#shown();
    for (let i = first; i < last; i++) if (!this.packs?.get(i)) return false;
    return true;
  }

  // Scrolling

  #scrolled() {
    const bar = this.scroller.scrollTop;
    const step = bar - this.bar;
    if (Math.abs(step) < 0.5) return;
    const { ratio } = this;
    const end = this.height.clientHeight - this.view;
    // A wheel, a finger or a key moves by pixels; only the thumb of a scaled bar moves by shares.
    const offset = ratio === 1 || Math.abs(step) > this.view ? bar * ratio : this.offset + step;
    this.bar = bar;
    this.#at(offset);
    if (ratio > 1 && (bar <= 0 || bar >= end - 1) && this.offset !== bar * ratio) this.#align();
    clearTimeout(this.idle);
    this.idle = setTimeout(() => this.#align(), 150);
    this.refresh();
  }

  /**
   * Move by a wheel near the ends of a scaled bar: there the thumb has fewer pixels left than the result, and the
   * browser would stop with it.
   * @param {WheelEvent} event
   */
  #turned(event) {
    const isNear = Math.min(this.offset, this.most - this.offset) < NEAR * this.view;
    if (this.ratio === 1 || !isNear || event.ctrlKey) return;
    event.preventDefault();
    const unit = [1, this.row / 3, this.view][event.deltaMode];
    this.#at(this.offset + event.deltaY * unit);
    this.#align();
    this.refresh();
  }

  /** Put the thumb of the scroll bar where the offset is. */
  #align() {
    const bar = this.offset / this.ratio;
    if (Math.abs(bar - this.scroller.scrollTop) >= 1) this.scroller.scrollTop = bar;
    this.bar = this.scroller.scrollTop;
  }

  /** @param {number} offset */
  #at(offset) {
    const next = Math.max(0, Math.min(offset, this.most));
    if (next !== this.offset) this.direction = next > this.offset ? 1 : -1;
    this.offset = next;
  }

  /** @param {number} offset */
  #move(offset) {
    this.#at(offset);
    this.#align();
    this.#draw();
  }

  /** Work out columns and rows from the room that there is. */
  measure() {
    const width = this.scroller.clientWidth - 2 * GAP;
    this.view = this.scroller.clientHeight;
    this.columns = Math.max(1, Math.floor((width + GAP) / (this.size + GAP)));
    this.tile = Math.floor((width + GAP) / this.columns) - GAP;
    const caption = this.tile >= 72 ? CAPTION : 0;
    const high = Math.round(this.tile / this.shape);
    this.row = high + caption + GAP;
    this.scroller.classList.toggle("bare", !caption);
    this.scroller.style.setProperty("--tile", `${this.tile}px`);
    this.scroller.style.setProperty("--high", `${high}px`);
    this.scroller.style.setProperty("--view", `${this.view}px`);
    this.height.style.height = `${Math.max(this.view, Math.min(TALLEST, this.rows * this.row + GAP))}px`;
  }

  #resized() {
    if (!this.view && !this.scroller.clientHeight) return;
    const isSeen = this.cursor >= 0 && this.#isOnScreen(this.cursor);
    const anchor = isSeen ? this.cursor : this.place;
    const above = Math.floor(anchor / this.columns) * this.row - this.offset;
    const rest = anchor === 0 && !isSeen ? 0 : above;
    this.measure();
    for (const tile of this.tiles.values()) tile.dataset.at = "";
    this.#move(Math.floor(anchor / this.columns) * this.row - Math.min(rest, Math.max(0, this.view - this.row)));
  }

  /** @param {number} index */
  #isOnScreen(index) {
    const top = Math.floor(index / this.columns) * this.row;
    return top + this.row > this.offset && top < this.offset + this.view;
  }

  // Drawing

  /** The places on screen, the last one left out. @returns {[number, number]} */
  #shown() {
    const first = Math.floor(this.offset / this.row) * this.columns;
    const last = Math.ceil((this.offset + this.view) / this.row) * this.columns;
    return [Math.max(0, first), Math.min(this.count, last)];
  }

  #draw() {
    cancelAnimationFrame(this.due);
    this.due = 0;
    const [first, last] = this.#shown();
    const more = BEYOND * this.columns;
    const [from, to] = [Math.max(0, first - more), Math.min(this.count, last + more)];
    const top = Math.floor(first / this.columns);
    if (Math.abs(top - this.base) > 2000) {
      this.base = top; // coordinates stay small, where browsers place to the pixel
      for (const tile of this.tiles.values()) tile.dataset.at = "";
    }
    for (const [index, tile] of this.tiles) {
      if (index >= from && index < to) continue;
      tile.remove();
      this.tiles.delete(index);
    }
    for (let i = from; i < to; i++) this.#tile(i);
    this.strip.style.transform = `translateY(${this.base * this.row - this.offset + GAP}px)`;
    const active = this.tiles.get(this.cursor);
    if (active) this.scroller.setAttribute("aria-activedescendant", active.id);
    else this.scroller.removeAttribute("aria-activedescendant");
    if (this.count) this.packs?.want(first, last, this.direction);
    if (this.drawn !== first) this.listener.onPlace();
    this.drawn = first;
  }

  /** @param {number} index */
  #tile(index) {
    let tile = this.tiles.get(index);
    if (!tile) {
      const names = { role: "option", id: `t${index}`, "aria-label": "loading" };
      tile = h("div", { class: "tile", ...names, "data-index": index, "data-old": "" });
      this.tiles.set(index, tile);
      this.strip.append(tile);
    }
    const row = Math.floor(index / this.columns) - this.base;
    const at = `${(index % this.columns) * (this.tile + GAP) + GAP}px, ${row * this.row}px`;
    if (tile.dataset.at !== at) {
      tile.dataset.at = at;
      tile.style.transform = `translate(${at})`;
    }
    const sample = this.packs?.get(index);
    if (sample && tile.dataset.old !== undefined) this.#fill(tile, sample, index);
    this.#mark(tile, index);
  }

  /** @param {HTMLElement} tile @param {Sample} sample @param {number} index */
  #fill(tile, sample, index) {
    const { row, picture } = sample;
    const caption = this.listener.caption(row);
    const shown = picture
      ? h("img", { class: "picture", src: picture, alt: "", draggable: "false" })
      : h("span", { class: "picture missing" }, "no picture");
    const marks = picture ? this.listener.marks(row) : null;
    tile.replaceChildren(shown, ...(marks ? [marks] : []), h("span", { class: "caption" }, caption), h("span", { class: "pick" }));
    tile.title = row.id;
    tile.dataset.id = row.id;
    delete tile.dataset.old;
    tile.setAttribute("aria-label", caption ? `${row.id}, ${caption}` : row.id);
    tile.setAttribute("aria-posinset", String(index + 1));
    tile.setAttribute("aria-setsize", String(this.count));
  }

  /** @param {HTMLElement} tile @param {number} index */
  #mark(tile, index) {
    const isSelected = this.selected.has(tile.dataset.id ?? "");
    tile.classList.toggle("selected", isSelected);
    tile.setAttribute("aria-selected", String(isSelected));
    tile.classList.toggle("cursor", index === this.cursor);
  }

  /** @param {Event} event */
  #broken(event) {
    if (event.target instanceof HTMLImageElement) {
      event.target.replaceWith(h("span", { class: "picture missing" }, "broken picture"));
    }
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const tile = /** @type {HTMLElement | null} */ (target.closest(".tile"));
    if (!tile?.dataset.id) return;
    const index = Number(tile.dataset.index);
    if (event.shiftKey) this.listener.onPick(index, "range");
    else if (event.ctrlKey || event.metaKey || target.classList.contains("pick")) this.listener.onPick(index, "toggle");
    else {
      this.cursor = index;
      this.#draw();
      this.listener.onOpen(index);
    }
  }
}
