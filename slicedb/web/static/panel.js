// @ts-check
// One sample beside the grid: its picture, its values, and the way to its own page.

import { api, ApiError, by, failed, h, url } from "./base.js";
import { counted, outlines } from "./marks.js";

/**
 * @typedef {object} Listener
 * @property {() => void} onClose
 * @property {(id: string, more: boolean) => void} onLike
 * @property {(step: -1 | 1) => void} onStep
 * @property {(id: string) => Record<string, string | number | undefined>} place the query that a sample is shown in, and where in it.
 * @property {() => {drawn: string[], models: string[]}} boxes the columns of boxes to draw, and all models.
 */

/** Columns that say nothing to a person who looks at one picture. */
const HIDDEN = new Set("key sha256 phash etag stamp row_stamp turned_phash dct_hash source".split(" "));
/** Columns that every sample has and few people ask for: they come last. */
const LAST = ["uri", "width", "height", "format", "bytes", "status", "error", "ingested_at"];

/** @param {unknown} value */
function shown(value) {
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : value.toPrecision(4);
  if (Array.isArray(value) && value[0]?.bbox) return counted(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

export class Panel {
  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
    this.element = by("panel");
    this.id = "";
    /** @type {AbortController | null} */
    this.leaving = null;
  }

  get isOpen() {
    return !this.element.hidden;
  }

  close() {
    this.leaving?.abort();
    this.id = "";
    this.element.hidden = true;
    this.element.replaceChildren();
  }

  /**
   * Show a sample.
   * @param {string} id
   * @param {string | undefined} commit
   */
  async open(id, commit) {
    if (id === this.id) return;
    this.id = id;
    this.leaving?.abort();
    const leaving = new AbortController();
    this.leaving = leaving;
    const picture = h("img", { alt: `Picture of ${id}`, src: url("/api/picture", { id, side: 640, commit }) });
    const frame = h("a", { class: "frame", href: url("/sample", { ...this.listener.place(id), id, commit }), title: "Open its page" }, picture);
    picture.addEventListener("error", () => picture.replaceWith(h("span", { class: "missing" }, "There is no picture to show.")));
    const values = h("dl", { class: "values", "aria-busy": "true" });
    this.element.replaceChildren(this.#head(id, commit), frame, this.#actions(id), values);
    this.element.hidden = false;
    try {
      const q = `id = '${id.replaceAll("'", "''")}'`;
      const { columns, rows } = await api("/api/table", { params: { q, commit, a: 0, b: 1 }, signal: leaving.signal });
      values.replaceChildren(...this.#values(columns, rows[0]));
      await this.#mark(frame, q, commit, leaving.signal);
    } catch (error) {
      if (leaving.signal.aborted) return;
      values.replaceChildren(h("dd", null, error instanceof ApiError ? error.message : String(error)));
    }
    values.removeAttribute("aria-busy");
  }

  /** Draw again what lies over the picture, since other boxes were chosen. @param {string | undefined} commit */
  async marked(commit) {
    const frame = /** @type {HTMLElement | null} */ (this.element.querySelector(".frame"));
    if (!this.id || !frame) return;
    frame.querySelector(".outlines")?.remove();
    await this.#mark(frame, `id = '${this.id.replaceAll("'", "''")}'`, commit, this.leaving?.signal).catch(failed);
  }

  /** @param {HTMLElement} frame @param {string} q @param {string | undefined} commit @param {AbortSignal} [signal] */
  async #mark(frame, q, commit, signal) {
    const { drawn, models } = this.listener.boxes();
    if (!drawn.length) return;
    const params = { q, commit, a: 0, b: 1, columns: "id", boxes: drawn.join(",") };
    const { rows } = await api("/api/page", { params, signal });
    if (String(this.listener.boxes().drawn) !== String(drawn)) return; // others were chosen meanwhile
    const marks = rows.length ? outlines(rows[0], models) : null;
    frame.querySelector(".outlines")?.remove(); // of the same choice, asked for twice
    if (marks) frame.append(marks);
  }

  /** @param {string} id @param {string | undefined} commit */
  #head(id, commit) {
    const { onClose, onStep } = this.listener;
    const button = (/** @type {string} */ sign, /** @type {string} */ name, /** @type {() => void} */ run) =>
      h("button", { type: "button", class: "quiet", "aria-label": name, title: name, onclick: run }, sign);
    return h(
      "header",
      null,
      h("h2", null, h("a", { href: url("/sample", { ...this.listener.place(id), id, commit }), dir: "auto" }, id)),
      button("‹", "The sample before", () => onStep(-1)),
      button("›", "The sample behind", () => onStep(1)),
      button("×", "Close (Esc)", onClose),
    );
  }

  /** @param {string} id */
  #actions(id) {
    const { onLike } = this.listener;
    return h(
      "div",
      { class: "row" },
      h("button", { type: "button", onclick: () => onLike(id, true) }, "More like this"),
      h("button", { type: "button", onclick: () => onLike(id, false) }, "Less like this"),
      h("button", { type: "button", onclick: () => void navigator.clipboard?.writeText(id) }, "Copy id"),
    );
  }

  /** @param {{name: string}[]} columns @param {unknown[] | undefined} row */
  #values(columns, row) {
    if (!row) return [h("dd", null, "There is no such sample any more.")];
    return columns
      .map(({ name }, i) => /** @type {[string, unknown]} */ ([name, row[i]]))
      .filter(([name, value]) => name !== "id" && value !== null && value !== "" && !HIDDEN.has(name))
      .sort(([a], [b]) => LAST.indexOf(a) - LAST.indexOf(b))
      .flatMap(([name, value]) => [h("dt", null, name), h("dd", { dir: "auto" }, shown(value))]);
  }
}
