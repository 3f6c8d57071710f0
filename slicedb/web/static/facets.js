// @ts-check
// The values of columns and the shape of numbers under the query; clicks and brushes write into its text.

import { api, ApiError, by, dialog, h, svg } from "./base.js";
import { excluded, has, leavesOut, quoted, range, ranged, toggled, unordered } from "./compose.js";

/** @typedef {{value: unknown, n: number, total: number, predicate: string}} Value */
/** @typedef {{column: string, kind: string, values: Value[], n_other: number, n_null?: number, n_values?: number}} Facet */
/** @typedef {{column: string, edges: (number | string | null)[], counts: number[], totals: number[], n_null: number}} Histogram */
/** @typedef {{facets: Facet[], histograms: Histogram[], count: number, total: number, version: string}} Answer */
/** @typedef {{name: string, type: string, kind: string, facet: boolean, histogram: boolean, sort: boolean, aside: boolean}} Column aside: shown only when it is asked for */

const CHOSEN = "slicedb.facets";
const FIRST = ["label", "objects", "split", "tags"];
/** Values listed of a column before all of them are asked for. */
const MOST = 12;

/** @param {number} n */
const count = (n) => n.toLocaleString("en");

/** @param {unknown} value */
function shown(value) {
  if (value === null) return "no value";
  if (Array.isArray(value) && !value.length) return "empty";
  return typeof value === "string" ? value || "empty text" : JSON.stringify(value);
}

export class Facets {
  /**
   * @param {HTMLElement} holder
   * @param {(text: string) => void} write runs a text that a click made
   */
  constructor(holder, write) {
    this.holder = holder;
    this.write = write;
    this.text = "";
    /** @type {Column[]} */
    this.columns = [];
    /** @type {Answer | null} */
    this.answer = null;
    /** @type {AbortController | null} */
    this.leaving = null;
    /** Columns whose values are all listed. @type {Set<string>} */
    this.open = new Set();
    /** @type {Record<string, string | undefined>} */
    this.params = {};
    /** @type {{by: string[], histograms: string[]} | null} */
    this.wish = null;
    /** Whether a person chose the columns. */
    this.isOwn = false;
    by("choose").addEventListener("click", () => this.#choose());
  }

  /** Say which columns there are. @param {Column[]} columns */
  know(columns) {
    this.columns = columns;
    const kept = this.#kept();
    this.isOwn = !!kept;
    this.wish = kept ?? this.#first();
  }

  /**
   * Ask for the figures of a query; those of the last one stay until they come.
   * @param {string} text
   * @param {Record<string, string | undefined>} params
   */
  async load(text, params) {
    this.text = text;
    this.params = params;
    this.#paint();
    this.leaving?.abort();
    if (!this.wish || !(this.wish.by.length + this.wish.histograms.length)) return;
    const leaving = new AbortController();
    this.leaving = leaving;
    this.holder.setAttribute("aria-busy", "true");
    const bare = unordered(text);
    const asked = { by: this.wish.by.join(","), histograms: this.wish.histograms.join(","), most: 20, q: bare, sort: "", p: bare.includes("$") ? params.p : "" };
    try {
      this.answer = await this.#asked({ ...params, ...asked }, leaving.signal);
      this.#paint();
      this.holder.dataset.of = text; // what the figures stand for, for whoever waits for them
    } catch (error) {
      if (leaving.signal.aborted) return;
      const why = error instanceof ApiError ? error.message : String(error);
      this.holder.replaceChildren(h("p", { class: "soft" }, why));
      this.answer = null;
    }
    if (this.leaving === leaving) this.holder.removeAttribute("aria-busy");
  }

  /** Mark what a text says, before its figures are known. @param {string} text */
  say(text) {
    this.text = text;
    this.#paint();
  }

  /** Forget the figures, for a result that has none. */
  clear() {
    this.leaving?.abort();
    this.answer = null;
    this.holder.replaceChildren();
  }

  /**
   * @param {Record<string, any>} params
   * @param {AbortSignal} signal
   * @returns {Promise<Answer>}
   */
  async #asked(params, signal) {
    for (;;) {
      try {
        return await api("/api/facets", { params, signal });
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 429) throw error;
        await new Promise((done) => setTimeout(done, 700));
        if (signal.aborted) throw error;
      }
    }
  }

  #kept() {
    try {
      const kept = JSON.parse(localStorage.getItem(CHOSEN) ?? "null");
      const names = new Set(this.columns.map((column) => column.name));
      const wish = { by: kept.by.filter((/** @type {string} */ n) => names.has(n)), histograms: kept.histograms.filter((/** @type {string} */ n) => names.has(n)) };
      return wish.by.length + wish.histograms.length ? wish : null;
    } catch {
      return null;
    }
  }

  #first() {
    const facets = this.columns.filter((column) => column.facet && !column.aside);
    const known = facets.filter((column) => FIRST.includes(column.name));
    const own = facets.filter((column) => !FIRST.includes(column.name) && column.kind === "column");
    const models = facets.filter((column) => /\.(prediction|correct|objects)$/.test(column.name));
    const numbers = this.columns.filter((column) => column.histogram && !column.type.endsWith("]"));
    const told = numbers.filter((column) => /\.(confidence|loss)$/.test(column.name));
    const rest = numbers.filter((column) => column.kind === "column" && !column.aside);
    return {
      by: [...known, ...models, ...own].slice(0, 6).map((column) => column.name),
      histograms: [...told, ...rest].slice(0, 2).map((column) => column.name),
    };
  }

  #paint() {
    const { answer } = this;
    if (!answer) return;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.key : undefined;
    const top = this.holder.scrollTop;
    const told = answer.facets.filter((facet) => facet.values.some((value) => value.value !== null) || this.#isChosen(facet));
    const facets = told.map((facet) => this.#facet(facet, answer));
    const shaped = answer.histograms.filter(({ edges }) => this.isOwn || edges[0] !== edges[edges.length - 1]);
    const histograms = shaped.map((histogram) => this.#histogram(histogram));
    this.holder.replaceChildren(...facets, ...histograms);
    this.holder.scrollTop = top;
    if (focused) {
      const same = this.holder.querySelector(`[data-key="${CSS.escape(focused)}"]`);
      if (same instanceof HTMLElement) same.focus({ preventScroll: true });
    }
  }

  /** Whether a person put a column here; of the others, those without a value are left out. @param {Facet} facet */
  #isChosen(facet) {
    return this.isOwn || facet.values.some((value) => has(this.text, value.predicate));
  }

  /** @param {Facet} facet @param {Answer} answer */
  #facet(facet, answer) {
    // By what all samples have, so that no value moves away from below the pointer when the query changes.
    const values = [...facet.values].sort((a, b) => b.total - a.total || shown(a.value).localeCompare(shown(b.value)));
    const isOpen = this.open.has(facet.column);
    const isTouched = (/** @type {Value} */ v) => has(this.text, v.predicate) || leavesOut(this.text, v.predicate);
    const listed = values.filter((value, i) => isOpen || i < MOST || isTouched(value));
    const most = Math.max(1, ...values.map((value) => value.total));
    const rows = listed.map((value) => this.#value(facet, value, most, answer));
    const hidden = values.length - listed.length;
    const more = () => {
      if (isOpen) this.open.delete(facet.column);
      else this.open.add(facet.column);
      this.#paint();
    };
    const toggle =
      hidden || isOpen
        ? h("button", { type: "button", class: "quiet more", "data-key": `${facet.column} more`, onclick: more }, isOpen ? "Fewer" : `${hidden} more`)
        : null;
    const other = facet.n_other ? h("p", { class: "soft other" }, `${count(facet.n_other)} with other values`) : null;
    return h("section", { class: "facet" }, h("h2", null, facet.column), h("ul", null, ...rows), toggle, other);
  }

  /** @param {Facet} facet @param {Value} value @param {number} most @param {Answer} answer */
  #value(facet, value, most, answer) {
    const { predicate, n, total } = value;
    const isOn = has(this.text, predicate);
    const isOff = leavesOut(this.text, predicate);
    const name = shown(value.value);
    const bar = h("span", { class: "bars", "aria-hidden": "true" }, h("span", { class: "all" }), h("span", { class: "here" }));
    /** @type {HTMLElement} */ (bar.children[0]).style.width = `${(100 * total) / most}%`;
    /** @type {HTMLElement} */ (bar.children[1]).style.width = `${(100 * n) / most}%`;
    const press = (/** @type {MouseEvent} */ event) => this.write(event.altKey ? excluded(this.text, predicate) : toggled(this.text, predicate));
    const share = answer.count ? `${((100 * n) / answer.count).toFixed(1)} % of the query` : "";
    const figures = n === total ? count(n) : `${count(n)} of ${count(total)}`;
    const button = h(
      "button",
      {
        type: "button",
        class: "value",
        "data-key": `${facet.column} ${name}`,
        "aria-pressed": String(isOn),
        title: [`${name}: ${figures}`, share, predicate].filter(Boolean).join("\n"),
        onclick: press,
      },
      bar,
      h("span", { class: "name", dir: "auto" }, name),
      h("span", { class: "figure" }, count(n), n === total ? null : h("span", { class: "total" }, ` / ${count(total)}`)),
    );
    const minus = h(
      "button",
      {
        type: "button",
        class: "minus quiet",
        "data-key": `${facet.column} ${name} minus`,
        "aria-pressed": String(isOff),
        "aria-label": `Leave out ${name}`,
        title: isOff ? "Let it in again" : "Leave it out",
        onclick: () => this.write(excluded(this.text, predicate)),
      },
      "–",
    );
    const classes = [isOn && "on", isOff && "off", !n && "none"].filter(Boolean).join(" ");
    return h("li", { class: classes || null }, button, minus);
  }

  /** @param {Histogram} histogram */
  #histogram(histogram) {
    return new Brush(histogram, this.text, this.write).element;
  }

  #choose() {
    if (!this.wish) return;
    const { wish } = this;
    const boxes = this.columns
      .filter((column) => column.facet || column.histogram)
      .map((column) => {
        const isChosen = wish.by.includes(column.name) || wish.histograms.includes(column.name);
        const input = h("input", { type: "checkbox", name: column.name, checked: isChosen });
        return h("label", { class: "choice" }, input, h("span", null, column.name), h("span", { class: "soft" }, column.type.toLowerCase()));
      });
    const take = () => {
      const names = new Set(boxes.map((label) => label.querySelector("input")).filter((input) => input?.checked).map((input) => input?.name));
      const chosen = this.columns.filter((column) => names.has(column.name));
      this.wish = {
        by: chosen.filter((column) => column.facet && !isNumber(column)).map((column) => column.name),
        histograms: chosen.filter((column) => !column.facet || isNumber(column)).map((column) => column.name),
      };
      try {
        localStorage.setItem(CHOSEN, JSON.stringify(this.wish));
      } catch {
        // The choice lasts as long as the page.
      }
      this.isOwn = true;
      box.close();
      void this.load(this.text, this.params);
    };
    const done = h("button", { type: "button", class: "main", onclick: take }, "Show");
    const box = dialog("Columns beside the pictures", h("div", { class: "choices" }, ...boxes), done);
  }
}

/** Whether a column is better shown by its shape than by its values. @param {Column} column */
function isNumber(column) {
  return column.histogram && /DOUBLE|FLOAT|TIMESTAMP|DATE|DECIMAL|BIGINT|INTEGER/.test(column.type);
}

const [WIDTH, HEIGHT] = [216, 44];

/** A histogram on which a person draws from one bin to another, or types the bounds. */
class Brush {
  /**
   * @param {Histogram} histogram
   * @param {string} text
   * @param {(text: string) => void} write
   */
  constructor(histogram, text, write) {
    this.histogram = histogram;
    this.text = text;
    this.write = write;
    this.start = -1;
    this.chosen = svg("rect", { class: "chosen", y: 0, height: HEIGHT, width: 0 });
    this.element = this.#made();
  }

  get bins() {
    return this.histogram.counts.length;
  }

  #made() {
    const { column, counts, totals, n_null } = this.histogram;
    const most = Math.max(1, ...totals);
    const step = WIDTH / Math.max(1, this.bins);
    // Roots, since a few samples beside many would be no pixel high.
    const high = (/** @type {number} */ n) => (n ? Math.max(1, HEIGHT * Math.sqrt(n / most)) : 0);
    const bar = (/** @type {number} */ n, /** @type {number} */ i, /** @type {string} */ kind) =>
      svg("rect", { class: kind, x: i * step + 0.5, y: HEIGHT - high(n), width: Math.max(0.5, step - 1), height: high(n) });
    const limits = range(this.text, column);
    const chart = svg(
      "svg",
      { class: "histogram", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${column}: ${this.#told()}`, preserveAspectRatio: "none" },
      ...totals.map((n, i) => bar(n, i, "all")),
      ...counts.map((n, i) => bar(n, i, "here")),
      this.chosen,
    );
    chart.addEventListener("pointerdown", (event) => this.#down(event, chart));
    chart.addEventListener("pointermove", (event) => this.#moved(event, chart));
    chart.addEventListener("pointerup", (event) => this.#up(event, chart));
    if (limits) this.#mark(limits);
    const none = n_null ? h("p", { class: "soft other" }, `${count(n_null)} without a value`) : null;
    return h("section", { class: "facet" }, h("h2", null, column), this.bins ? chart : h("p", { class: "soft" }, "no values"), this.#bounds(limits), none);
  }

  #told() {
    const { edges, counts } = this.histogram;
    if (!this.bins) return "no values";
    const top = counts.indexOf(Math.max(...counts));
    return `${edges[0]} to ${edges[this.bins]}, most between ${edges[top]} and ${edges[top + 1]}`;
  }

  /** @param {[string, string] | null} limits */
  #bounds(limits) {
    const { column, edges } = this.histogram;
    const [low, high] = limits ?? ["", ""];
    const bare = (/** @type {string} */ text) => text.replace(/^'(.*)'$/s, "$1").replaceAll("''", "'");
    const field = (/** @type {string} */ name, /** @type {string} */ value, /** @type {number | string | null | undefined} */ hint) =>
      h("input", { name, value: bare(value), placeholder: hint === undefined || hint === null ? "" : written(hint, true), "aria-label": `${column} ${name}`, size: 8, "data-key": `${column} ${name}` });
    const [from, to] = [field("from", low, edges[0]), field("to", high, edges[this.bins])];
    const apply = (/** @type {Event} */ event) => {
      event.preventDefault();
      if (!from.value && !to.value) return this.write(ranged(this.text, column, null));
      const isText = edges.some((edge) => typeof edge === "string");
      const put = (/** @type {string} */ v) => (isText && v ? quoted(v) : v);
      return this.write(ranged(this.text, column, [put(from.value), put(to.value)]));
    };
    const clear = limits
      ? h("button", { type: "button", class: "quiet", "aria-label": `No bounds for ${column}`, title: "No bounds", onclick: () => this.write(ranged(this.text, column, null)) }, "×")
      : null;
    return h("form", { class: "bounds", onsubmit: apply }, from, h("span", { class: "soft" }, "to"), to, clear, h("button", { class: "quietly", type: "submit", tabindex: -1 }, "Apply"));
  }

  /** Show where the bounds of the text lie. @param {[string, string]} limits */
  #mark(limits) {
    const open = (/** @type {number} */ i) => (i ? Infinity : -Infinity); // the outermost bins may have no end
    const edges = this.histogram.edges.map((edge, i) => (edge === null ? open(i) : typeof edge === "string" ? Date.parse(edge) : edge));
    const [low, high] = limits.map((text, i) => (text === "" ? open(i) : /^'/.test(text) ? Date.parse(text.replaceAll("'", "")) : Number(text)));
    const at = (/** @type {number} */ value) => {
      const i = edges.findIndex((edge) => edge > value);
      if (i === 0) return 0;
      if (i < 0) return WIDTH;
      const width = edges[i] - edges[i - 1];
      const part = Number.isFinite(width) && width ? (value - edges[i - 1]) / width : 0;
      return ((i - 1 + part) / this.bins) * WIDTH;
    };
    this.#cover(at(low), at(high));
  }

  /** @param {number} from @param {number} to */
  #cover(from, to) {
    this.chosen.setAttribute("x", String(from));
    this.chosen.setAttribute("width", String(Math.max(0, to - from)));
  }

  /** @param {PointerEvent} event @param {Element} chart */
  #bin(event, chart) {
    const box = chart.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    return Math.max(0, Math.min(this.bins - 1, Math.floor(share * this.bins)));
  }

  /** @param {PointerEvent} event @param {Element} chart */
  #down(event, chart) {
    if (event.button) return;
    chart.setPointerCapture(event.pointerId);
    this.start = this.#bin(event, chart);
    this.#moved(event, chart);
    event.preventDefault();
  }

  /** @param {PointerEvent} event @param {Element} chart */
  #moved(event, chart) {
    if (this.start < 0) return;
    const [a, b] = this.#between(this.#bin(event, chart));
    const step = WIDTH / this.bins;
    this.#cover(a * step, (b + 1) * step);
  }

  /** @param {number} bin @returns {[number, number]} */
  #between(bin) {
    return [Math.min(bin, this.start), Math.max(bin, this.start)];
  }

  /** @param {PointerEvent} event @param {Element} chart */
  #up(event, chart) {
    if (this.start < 0) return;
    const { column, edges } = this.histogram;
    const [a, b] = this.#between(this.#bin(event, chart));
    this.start = -1;
    this.write(ranged(this.text, column, [written(edges[a]), written(edges[b + 1])]));
  }
}

/** Return an edge as it stands in a text. @param {number | string | null} edge @param {boolean} [bare] without quotes */
function written(edge, bare = false) {
  if (edge === null) return "";
  if (typeof edge === "string") return bare ? edge : quoted(edge);
  if (bare) return Number.isInteger(edge) ? String(edge) : String(Number(edge.toPrecision(3)));
  return Number.isInteger(edge) ? String(edge) : String(Number(edge.toPrecision(12))); // 0.3, not 0.30000000000000004
}
