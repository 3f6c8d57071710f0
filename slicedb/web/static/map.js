// @ts-check
// The page of the map: query, points, colours and legend; the address holds what is shown.

import { api, ApiError, by, data, dialog, explore, failed, h, keys, notice, prose, state, url } from "./base.js";
import { Box } from "./box.js";
import { Cloud, unpacked } from "./cloud.js";
import { excluded, has, toggled } from "./compose.js";
import { legend, paletteOf } from "./legend.js";
import { SAFE, everyTint, isCategory, tinted, toggledTint } from "./tints.js";
import { another, first } from "./making.js";
import { nameQuery } from "./naming.js";
import { Stage } from "./stage.js";

/** @typedef {import("./outline.js").Corner} Corner */
/** @typedef {import("./stage.js").Tool} Tool */
/** @typedef {import("./stage.js").View} View */
/** @typedef {import("./legend.js").Colours} Colours */
/** @typedef {{name: string, version: string, method: string, of: string, n: number, behind: number}} MapInfo */
/** @typedef {Omit<import("./making.js").About, "maps"> & {maps: MapInfo[], first: string}} About */

/** Bytes that a query may have, and at most of them for an outline; a further one gets what is left. */
const MOST = 9_900;
const OUTLINE = 4_000;
const LEAST = 160;
/** Bytes around the corners of an outline. */
const AROUND = 60;

/** @type {About} */
const about = data();

/** Return the head and the bytes behind it. @param {ArrayBuffer} body */
function opened(body) {
  const length = new DataView(body).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(body, 4, length)));
  return { head, bytes: new Uint8Array(body, 4 + length) };
}

/** The latest request of each kind; a newer one calls the older off. @type {Map<string, AbortController>} */
const running = new Map();

/** @param {string} kind @returns {AbortSignal} */
function latest(kind) {
  running.get(kind)?.abort();
  const controller = new AbortController();
  running.set(kind, controller);
  return controller.signal;
}

class Page {
  constructor() {
    this.box = new Box(/** @type {HTMLFormElement} */ (by("box")), {
      onRun: (text) => this.ask(text.trim()),
      onLeave: () => this.stage.canvas.focus(),
      params: () => ({ commit: state.get().commit, p: state.get().p }),
    });
    this.which = /** @type {HTMLSelectElement} */ (by("which"));
    this.by = /** @type {HTMLSelectElement} */ (by("by"));
    this.how = /** @type {HTMLSelectElement} */ (by("how"));
    this.card = by("card");
    const over = /** @type {any} */ (by("over"));
    this.stage = new Stage(/** @type {HTMLCanvasElement} */ (by("points")), over, {
      room: () => this.room(),
      outline: (text, corners) => this.outline(text, corners),
      look: (point, x, y) => this.look(point, x, y),
      open: (point, apart) => this.open(point, apart).catch(failed),
      moved: () => this.moved(),
    });
    /** @type {Colours | null} */
    this.colours = null;
    /** Codes that a row of the legend points at; null for none. @type {[number, number] | null} */
    this.pointed = null;
    /** What is shown now. */
    this.shown = { map: "", version: "", by: "", q: "", asked: "" };
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.later = undefined;
    this.without = 0;
  }

  get name() {
    return this.which.value;
  }

  /** Show what the address says. */
  async follow() {
    const { q = "", map, by: column, commit, p } = state.get();
    if (map && about.maps.some((each) => each.name === map)) this.which.value = map;
    this.choose((column ?? about.first).trim());
    if (this.box.text !== q) this.box.text = q;
    /** @type {HTMLAnchorElement} */ (by("explore")).href = explore(q, { commit: commit ?? null, p: p ?? null });
    const asked = { q, commit, p };
    try {
      await this.update(asked);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 409)) throw error;
      this.shown.map = ""; // the points have changed
      const told = await api("/map.json");
      Object.assign(about, told.about);
      await this.update(asked);
    }
  }

  /** Choose an expression, which may be none of those listed. @param {string} column */
  choose(column) {
    const options = [...this.by.options];
    if (!options.some((option) => option.value === column)) {
      this.by.insertBefore(h("option", { value: column }, column), options[options.length - 1]);
    }
    this.by.value = column;
  }

  /** @param {{q: string, commit?: string, p?: string}} asked */
  async update(asked) {
    const { name, shown } = this;
    const version = about.maps.find((map) => map.name === name)?.version ?? "";
    const column = this.by.value;
    const isNew = shown.map !== name || shown.version !== version;
    const isColoured = isNew || shown.by !== column;
    const text = JSON.stringify(asked);
    const isAsked = isNew || shown.asked !== text;
    Object.assign(shown, { map: name, version, by: column, q: asked.q, asked: text });
    if (isNew) {
      this.colours = null;
      this.stage.cloud = null;
    }
    const params = { map: name, version };
    const colours = isColoured ? this.coloured({ ...params, by: column }) : null;
    const inside = isAsked ? this.asked({ ...params, ...asked }) : null;
    const points = isNew ? this.load(name, latest("points")) : null;
    // All at once; the points are there first, since the others wait for them.
    const [, found, held] = await Promise.all([points, colours, inside]);
    const { cloud } = this.stage;
    if (cloud === null) return;
    if (found) {
      this.colours = found.head;
      cloud.colours = found.bytes;
    }
    if (held) this.held(held.head, held.bytes, asked.q);
    this.recolour();
    this.count();
  }

  /** @param {Record<string, string>} params */
  async coloured(params) {
    try {
      const response = await api("/api/map/colours", { params, raw: true, signal: latest("colours") });
      return opened(await response.arrayBuffer());
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 400) throw error;
      failed(error);
      this.shown.by = "";
      this.choose("");
      state.set({ by: null }, { quiet: true });
      const response = await api("/api/map/colours", { params: { ...params, by: "" }, raw: true });
      return opened(await response.arrayBuffer());
    }
  }

  /** @param {Record<string, string | undefined>} params */
  async asked(params) {
    try {
      const response = await api("/api/map/inside", { params, raw: true, signal: latest("inside") });
      this.box.ran(params.q ?? "");
      return opened(await response.arrayBuffer());
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 400) throw error;
      this.shown.asked = "";
      this.box.wrong(error);
      by("count").textContent = "";
      return null;
    }
  }

  /**
   * Load the points; they are drawn while they come.
   * @param {string} name
   * @param {AbortSignal} signal
   */
  async load(name, signal) {
    const response = /** @type {Response} */ (await api("/api/map/points", { params: { map: name }, raw: true, signal }));
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
    let start = new Uint8Array(0);
    /** @type {Cloud | null} */
    let cloud = null;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (cloud) cloud.add(value);
      else {
        start = joined(start, value);
        const length = start.length < 4 ? Infinity : 4 + new DataView(start.buffer).getUint32(0, true);
        if (start.length < length) continue;
        const head = JSON.parse(new TextDecoder().decode(start.subarray(4, length)));
        cloud = new Cloud(head.n);
        cloud.add(start.subarray(length));
        this.without = head.without;
        this.stage.palette.fill(this.stage.grey);
        this.stage.show(cloud, head, viewOf(state.get().view));
      }
      this.stage.paint();
    }
  }

  /**
   * Take what the query has.
   * @param {{count: number, points: number, text: string}} head
   * @param {Uint8Array} bits
   * @param {string} q
   */
  held(head, bits, q) {
    const { cloud } = this.stage;
    if (cloud === null) return;
    cloud.hold(head.points === cloud.n ? null : unpacked(bits, cloud.n));
    const off = head.count - head.points;
    const said = `${head.count.toLocaleString("en")} sample${head.count === 1 ? "" : "s"}`;
    const none = off > 0 ? `, ${off.toLocaleString("en")} without a point` : "";
    const box = by("count");
    box.textContent = said + none;
    box.title = off > 0 ? `map_x('${this.name}') IS NULL has them` : "";
    this.stage.outlines = outlinesIn(q, this.name);
  }

  /** Give the points their colours. */
  recolour() {
    const { colours, stage } = this;
    if (colours === null) return;
    const { palette, grey } = paletteOf(colours, state.get().tint);
    if (this.pointed) {
      const [first, last] = this.pointed;
      for (let code = 0; code < 256; code++) if (code < first || code > last) palette[code] = grey;
    }
    [stage.palette, stage.grey] = [palette, grey];
    stage.paint();
  }

  /** Count the points of each row, and list them. */
  count() {
    const { cloud } = this.stage;
    if (cloud === null || this.colours === null) return;
    const q = this.shown.q;
    legend(by("legend"), this.colours, cloud, {
      isOn: (query) => has(q, query),
      chosen: (query) => this.ask(toggled(this.box.text.trim(), query)),
      tint: state.get().tint,
      tinted: (label) => this.tint(toggledTint(this.colours?.rows ?? [], state.get().tint, label)),
      pointed: (range) => {
        this.pointed = range;
        this.recolour();
      },
    });
    const notes = /** @type {(string | HTMLElement)[]} */ ([...this.tints(), ...this.colours.notes]);
    const info = about.maps.find((map) => map.name === this.name);
    if (info?.behind) notes.push(`${info.behind.toLocaleString("en")} samples with a vector have no point yet: make the map again to place them.`);
    if (this.without) notes.push(`${this.without.toLocaleString("en")} samples have no point: map_x('${this.name}') IS NULL.`);
    by("notes").replaceChildren(...notes.map((note) => (typeof note === "string" ? h("li", null, ...prose(note)) : note)));
  }

  /** Say which categories have a colour, and offer another choice. */
  tints() {
    const { kind, rows, n_values: all = 0 } = this.colours ?? { kind: "ramp", rows: [] };
    const listed = kind === "categories" ? rows.filter(isCategory).length : 0;
    if (listed <= SAFE) return [];
    const word = state.get().tint;
    const n = tinted(rows, word).length;
    /** @type {(string | HTMLElement)[]} */
    const parts = [h("span", null, `${n} of ${all.toLocaleString("en")} values have a colour, the others are gray. The square before a value gives it one or takes it. `)];
    if (n > SAFE) parts.push(h("span", null, `Beyond ${SAFE} they are hard to tell apart, most of all for colour-blind readers. `));
    if (n < listed) parts.push(h("button", { type: "button", onclick: () => this.tint(everyTint()) }, `Colour all ${listed}`), " ");
    if (word !== undefined) parts.push(h("button", { type: "button", onclick: () => this.tint(undefined) }, `Only the ${SAFE} most frequent`));
    return [h("li", null, ...parts)];
  }

  /** Give categories a colour, or take it. @param {string | undefined} word as the address has it */
  tint(word) {
    state.set({ tint: word ?? null }, { quiet: true });
    this.recolour();
    this.count();
  }

  /** Ask a query: a step that "back" undoes. @param {string} q */
  ask(q) {
    this.box.text = q;
    state.set({ q }, { push: true });
  }

  /** Return the bytes that the corners of an outline may take. */
  room() {
    const before = this.how.value === "only" ? 0 : bytes(this.box.text.trim());
    return Math.max(LEAST, Math.min(OUTLINE, MOST - before - this.name.length - AROUND));
  }

  /**
   * Narrow the query by an outline.
   * @param {string} text its corners
   * @param {Corner[]} corners on the stage
   */
  outline(text, corners) {
    const predicate = `in_map('${this.name.replaceAll("'", "''")}', ${text})`;
    const before = this.box.text.trim();
    const how = this.how.value;
    const after = how === "only" ? predicate : how === "not" ? excluded(before, predicate) : toggled(before, predicate);
    if (bytes(after) > MOST) {
      const instead = { title: "Replace the query", run: () => this.ask(predicate) };
      notice("The query is too long for another outline.", { kind: "bad", action: instead });
      return;
    }
    const { cloud } = this.stage;
    if (cloud) this.foresee(cloud, corners, how);
    this.ask(after);
  }

  /**
   * Show what an outline will leave, before the server says it.
   * @param {Cloud} cloud
   * @param {Corner[]} corners
   * @param {string} how
   */
  foresee(cloud, corners, how) {
    const inside = this.stage.enclosed(corners);
    const before = how === "only" ? null : cloud.inside;
    if (how === "not") for (let i = 0; i < cloud.n; i++) inside[i] ^= 1;
    if (before) for (let i = 0; i < cloud.n; i++) inside[i] &= before[i];
    cloud.hold(inside);
    this.stage.outlines = [];
    this.stage.painted();
  }

  /** Keep the view in the address, when it has come to rest; and the room that is left for an outline. */
  moved() {
    clearTimeout(this.later);
    this.later = setTimeout(() => {
      const { x, y, scale } = this.stage.view;
      state.set({ view: [x, y, scale].map((value) => Number(value.toPrecision(6))).join(" ") }, { quiet: true });
      if (document.activeElement === this.stage.canvas) this.say();
    }, 300);
  }

  /** Tell a screen reader what is in the middle. */
  async say() {
    if (!this.stage.canvas.matches(":focus-visible")) return;
    const point = this.stage.middle();
    const sample = point < 0 ? null : await this.sample(point, latest("sample"));
    by("near").textContent = sample ? `In the middle: ${sample.id}, ${sample.label ?? "no label"} ${sample.value}` : "";
  }

  /** @param {number} point @param {AbortSignal} [signal] */
  async sample(point, signal) {
    const params = { map: this.name, version: this.shown.version, point, by: this.by.value };
    return api("/api/map/sample", { params, signal });
  }

  /**
   * Show the sample that the pointer is at.
   * @param {number} point
   * @param {number} x
   * @param {number} y
   */
  async look(point, x, y) {
    const { card } = this;
    const signal = latest("look");
    if (point < 0) {
      card.hidden = true;
      return;
    }
    await new Promise((done) => setTimeout(done, 60));
    if (signal.aborted) return;
    try {
      const sample = await this.sample(point, signal);
      const picture = /** @type {HTMLImageElement} */ (card.querySelector("img"));
      picture.src = url("/api/picture", { id: sample.id, side: 160 });
      const [name, more] = card.querySelectorAll("b, span");
      name.textContent = sample.label ?? sample.id;
      const value = this.by.value && this.by.value !== "label" ? `${this.by.selectedOptions[0]?.textContent} ${sample.value} · ` : "";
      more.textContent = value + sample.id;
      const [right, below] = [x + 190 > this.stage.width, y + 240 > this.stage.height];
      const [left, top] = [right ? x - 194 : x + 16, below ? Math.max(4, y - 234) : y + 16];
      card.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
      card.hidden = false;
    } catch (error) {
      if (!signal.aborted) card.hidden = true;
    }
  }

  /** @param {number} point @param {boolean} apart */
  async open(point, apart) {
    if (point < 0) return;
    const { id } = await this.sample(point);
    const to = url("/sample", { id, q: this.box.text.trim() });
    if (apart) window.open(to, "_blank");
    else location.href = to;
  }

  /** @param {Tool} tool */
  take(tool) {
    this.stage.tool = tool;
    /** @type {HTMLElement} */ (this.stage.canvas.parentElement).dataset.tool = tool;
    for (const button of document.querySelectorAll("[data-tool]")) {
      if (button instanceof HTMLButtonElement) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    }
  }

  /** Listen to the controls and the keys. */
  listen() {
    const { stage } = this;
    this.which.addEventListener("change", () => state.set({ map: this.name, view: null }, { push: true }));
    this.by.addEventListener("change", () => {
      if (this.by.value === "?") this.write();
      else state.set({ by: this.by.value || " ", tint: null }, { push: true });
    });
    for (const button of document.querySelectorAll("button[data-tool]")) {
      button.addEventListener("click", () => this.take(/** @type {Tool} */ (/** @type {HTMLElement} */ (button).dataset.tool)));
    }
    by("in").addEventListener("click", () => stage.zoom(1.6));
    by("out").addEventListener("click", () => stage.zoom(1 / 1.6));
    by("fit").addEventListener("click", () => stage.fit());
    by("shown").addEventListener("click", () => stage.takeAll());
    document.getElementById("name")?.addEventListener("click", () => void nameQuery(this.box.text.trim()));
    document.getElementById("new")?.addEventListener("click", () =>
      another(about, (name) => (location.href = url("/map", { ...state.get(), map: name, view: null }))),
    );
    stage.canvas.addEventListener("focus", () => this.say().catch(failed));
    const isStage = () => document.activeElement === stage.canvas;
    /** @param {string[]} names @param {string} does @param {-1 | 0 | 1} right @param {-1 | 0 | 1} below */
    const arrow = (names, does, right, below) =>
      names.map((key) => ({ key, does, run: () => stage.step(right, below), where: key.startsWith("A") ? isStage : undefined }));
    keys.add(
      ...arrow(["h", "ArrowLeft"], "move the map left", -1, 0),
      ...arrow(["l", "ArrowRight"], "move the map right", 1, 0),
      ...arrow(["k", "ArrowUp"], "move the map up", 0, -1),
      ...arrow(["j", "ArrowDown"], "move the map down", 0, 1),
      { key: "+", does: "zoom in", run: () => stage.zoom(1.6) },
      { key: "=", does: "zoom in", run: () => stage.zoom(1.6) },
      { key: "-", does: "zoom out", run: () => stage.zoom(1 / 1.6) },
      { key: "0", does: "show all of the map", run: () => stage.fit() },
      { key: "p", does: "drag moves the map", run: () => this.take("pan") },
      { key: "f", does: "drag draws a lasso", run: () => this.take("lasso") },
      { key: "r", does: "drag draws a rectangle", run: () => this.take("rectangle") },
      { key: "s", does: "outline what is on the screen", run: () => stage.takeAll() },
      { key: "c", does: "choose what colours the points", run: () => this.by.focus() },
      { key: "/", does: "write a query", run: () => this.box.focus() },
      { key: "Enter", does: "open the sample nearest to the cross", run: () => this.open(stage.middle(), false), where: isStage },
      { key: "Escape", does: "give up the outline", run: () => stage.cancel(), where: () => stage.isDrawing },
    );
    const recolour = () => {
      this.recolour();
      this.count();
    };
    document.addEventListener("theme", recolour);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
    document.addEventListener("back", () => this.follow().catch(failed));
    state.on(() => this.follow().catch(failed));
  }

  /** Ask for an expression that colours the points. */
  write() {
    this.by.value = this.shown.by;
    const field = h("input", { class: "code", placeholder: "v3.loss - v4.loss", required: true });
    const form = h("form", { class: "form" }, h("label", null, "A value for each sample, such as v3.loss - v4.loss or similarity('snow')", field), h("div", { class: "row" }, h("button", { class: "main" }, "Colour")));
    const box = dialog("Colour by an expression", form);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      box.close();
      state.set({ by: field.value.trim(), tint: null }, { push: true });
    });
    field.focus();
  }
}

/** @param {string} text */
function bytes(text) {
  return new TextEncoder().encode(text).length;
}

/** @param {Uint8Array} a @param {Uint8Array} b */
function joined(a, b) {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** @param {string | undefined} text @returns {View | null} */
function viewOf(text) {
  const [x, y, scale] = (text ?? "").split(" ").map(Number);
  return [x, y, scale].every(Number.isFinite) && scale > 0 ? { x, y, scale } : null;
}

/**
 * Return the outlines that a query names, in coordinates of the map.
 * @param {string} q
 * @param {string} name
 * @returns {Corner[][]}
 */
function outlinesIn(q, name) {
  const found = [];
  for (const [, map, corners] of q.matchAll(/in_map\(\s*'((?:[^']|'')*)'\s*,\s*(\[\s*\[[\d\s,.eE+[\]-]*\]\s*\])\s*\)/gi)) {
    if (map.replaceAll("''", "'").toLowerCase() !== name.toLowerCase()) continue;
    try {
      found.push(JSON.parse(corners));
    } catch {
      // The server says what is wrong with it.
    }
  }
  return found;
}

/** @type {[string, Record<string, string>]} */
const pca = ["project", { name: "pca", method: "pca", embedding: about.embeddings[0]?.name ?? "default" }];
const [one, both] = [document.getElementById("first"), document.getElementById("embed")];
if (one instanceof HTMLButtonElement) first(one, [pca]);
if (both instanceof HTMLButtonElement) first(both, [["embed", {}], pca]);

if (about.maps.length) {
  const page = new Page();
  page.listen();
  page.follow().catch(failed);
}
