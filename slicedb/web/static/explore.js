// @ts-check
// Explore: a query box, the pictures of its answer, and figures that follow it. The address is the state.

import { api, ApiError, by, data, failed, h, keys, notice, state, url } from "./base.js";
import { Box } from "./box.js";
import { joined, liked, parts, quoted, unordered } from "./compose.js";
import { Facets } from "./facets.js";
import { Grid } from "./grid.js";
import { model, outlines, TRUTH } from "./marks.js";
import { Packs } from "./packs.js";
import { Panel } from "./panel.js";

/** @typedef {import("./facets.js").Column} Column */
/** @typedef {{q: string, sort: string, commit: string, p: string}} Question what is asked; "" where nothing is set */

const SIZE = 132;
const [SMALLEST, LARGEST] = [40, 400];
const CAPTION = "slicedb.caption";
const BOXES = "slicedb.boxes";
const HELD = "slicedb.size";
/** Samples that a range selects at most, and ids that a query lists at most. */
const [MOST_SELECTED, MOST_LISTED] = [5000, 400];
/** Samples of one request of rows. */
const ROWS = 500;

/** Milliseconds after which an answer that is behind what others wrote is asked again. */
const LATER = 2000;

/** Columns of every database. */
const ALWAYS = ["label", "split", "tags"].map((name) => ({ name, type: "VARCHAR", kind: "column", facet: true, histogram: false, sort: true, aside: false }));

const status = by("count");
const empty = by("empty");
const table = by("table");
const scroller = by("grid");
const words = /** @type {HTMLInputElement} */ (by("words"));
const file = /** @type {HTMLInputElement} */ (by("file"));
const sorting = /** @type {HTMLSelectElement} */ (by("sort"));
const turned = /** @type {HTMLButtonElement} */ (by("turn"));
const caption = /** @type {HTMLSelectElement} */ (by("caption"));
const drawing = /** @type {HTMLSelectElement} */ (by("boxes"));
const zoom = /** @type {HTMLInputElement} */ (by("zoom"));
const chosen = by("chosen");

/** @type {Set<string>} */
const selected = new Set();
let anchor = -1;
/** @type {Packs | null} */
let packs = null;
/** What is on screen. @type {Question | null} */
let answered = null;
/** What was asked last. @type {Question | null} */
let asked = null;
let total = -1;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let later;

// What is asked

/** @returns {Question} */
function question() {
  const { q = "", sort = "", commit = "", p = "" } = state.get();
  return { q, sort, commit, p };
}

/** @param {Question} given */
function params({ q, sort, commit, p }) {
  const values = q.includes("$") ? p : ""; // a value that the text does not ask for is an error
  return { q: q || undefined, sort: sort || undefined, commit: commit || undefined, p: values || undefined };
}

/** @param {Question | null} a @param {Question | null} b */
function same(a, b) {
  return !!a && !!b && a.q === b.q && a.sort === b.sort && a.commit === b.commit && a.p === b.p;
}

/** Ask another text, as a step that "back" undoes. @param {string} text @param {Record<string, string>} [more] */
function ask(text, more = {}) {
  box.text = text;
  const before = question();
  state.set({ q: text, at: null, open: null, ...more }, { push: true, quiet: true });
  facets.say(text);
  if (same(before, question()) && same(answered, question())) show({ again: true });
  else show();
}

/** Pixels of the longer side of the pictures that are asked for. */
function side() {
  const wanted = grid.size * Math.min(2, devicePixelRatio);
  return wanted <= 96 ? 96 : wanted <= 200 ? 160 : wanted <= 380 ? 320 : 512;
}

// Showing

/**
 * Show what the address says.
 * @param {{again?: boolean}} [how] again: ask even if it is on screen
 */
function show({ again = false } = {}) {
  const values = state.get();
  const now = question();
  const at = Math.max(0, Math.floor(Number(values.at) || 0));
  setSize(Number(values.size) || held());
  setSort(now.sort);
  if (!same(now, asked)) box.text = now.q;
  if (again || !same(now, asked)) void answer(now, at);
  else if (same(now, answered) && grid.place !== at && values.at !== undefined) grid.show(/** @type {Packs} */ (packs), grid.count, at);
  if (values.open) void panel.open(values.open, now.commit || undefined);
  else if (panel.isOpen) panel.close();
}

let leaving = new AbortController();

/**
 * Ask for the first pictures of an answer; what is on screen stays until they come.
 * @param {Question} now
 * @param {number | undefined} at the place at the upper edge; undefined: where it is
 */
async function answer(now, at) {
  asked = now;
  leaving.abort(); // the server stops what nobody waits for any more
  leaving = new AbortController();
  waiting?.close();
  busy(true);
  try {
    if (parts(now.q).whole) {
      const { kind } = await api("/api/count", { params: params(now), signal: leaving.signal });
      if (asked !== now) return;
      if (kind === "table") {
        await figures(now);
        return;
      }
    }
    pictures(now, at);
  } catch (error) {
    if (asked === now) wrong(error);
  }
}

/** @param {Question} now @param {number | undefined} at */
function pictures(now, at) {
  const column = caption.value;
  const screen = (grid.page + 1) * grid.columns;
  const next = new Packs({ ...params(now), columns: column || undefined, boxes: drawing.value || undefined }, side(), screen, {
    onPack: () => {
      if (next === packs) grid.refresh();
      else if (asked !== now) return next.close();
      else arrived(now, next, at);
      if (followed !== next && grid.complete) {
        followed = next;
        void follow(now);
      }
    },
    onError: (error) => {
      if (asked === now) wrong(error);
    },
    onOther: () => {
      if (next !== packs) return;
      notice("The database has changed; this is its state now.");
      pictures(now, undefined);
    },
  });
  if (waiting && waiting !== packs) waiting.close();
  waiting = next;
  const first = at ?? grid.place;
  next.want(first, first + Math.max(1, grid.page * grid.columns));
}

/** The packs that are asked for and not on screen yet. @type {Packs | null} */
let waiting = null;

/** The packs behind which the figures were asked for. @type {Packs | null} */
let followed = null;

/** What the figures stand for: other captions and sizes change none of them. */
let counted = "";

/** @param {Question} now @param {Packs} next @param {number | undefined} at */
function arrived(now, next, at) {
  const old = packs;
  const isOther = !same(now, answered);
  packs = next;
  waiting = null;
  answered = now;
  table.hidden = true;
  scroller.hidden = false;
  if (isOther) {
    grid.cursor = -1;
    anchor = -1;
    box.ran(now.q);
  }
  /** @type {HTMLAnchorElement} */ (by("review")).href = url("/clean", { queue: "query", q: whole() });
  const first = at === undefined ? undefined : Math.min(at, Math.max(0, next.count - 1));
  grid.show(next, next.count, first, isOther);
  old?.close();
  tell(next.count);
  busy(false);
  if (next.behind && caughtUp !== now) catchUp(now, next);
}

/** The question that was asked again because a later state was being loaded. @type {Question | null} */
let caughtUp = null;

/**
 * Show the later state once it is loaded. Only once: where somebody writes all the time, the pictures would change
 * under the eyes of who looks at them.
 * @param {Question} now @param {Packs} shown
 */
function catchUp(now, shown) {
  setTimeout(async () => {
    if (packs !== shown || asked !== now) return;
    try {
      const { version } = await api("/api/count", { params: params(now) });
      if (packs !== shown || asked !== now) return;
      if (version === shown.version) return catchUp(now, shown);
      caughtUp = now;
      shown.listener.onOther();
    } catch {
      // What is on screen is whole; the next question finds the later state.
    }
  }, LATER);
}

/** Ask for what stands beside the pictures, after them. @param {Question} now */
async function follow(now) {
  const mark = JSON.stringify([now, packs?.version]);
  if (mark === counted) return;
  counted = mark;
  try {
    const found = await api("/api/count", { params: params(now) });
    if (answered !== now || !packs) return;
    total = found.total;
    tell(packs.count);
  } catch {
    // The pictures are there, and the next query counts again.
  }
  if (!facets.columns.length) await columns();
  // Where another text was asked meanwhile, its own figures follow it.
  if (answered === now && same(asked, now)) void facets.load(now.q, params(now));
}

/** @param {number} count */
function tell(count) {
  const n = count.toLocaleString("en");
  const of = total >= 0 && total !== count ? ` of ${total.toLocaleString("en")}` : "";
  const later = packs?.behind ? "; what others have changed is being loaded" : "";
  status.textContent = `${n}${of} ${count === 1 && !of ? "sample" : "samples"}${later}`;
  empty.hidden = count > 0;
  scroller.classList.toggle("nothing", count === 0);
  if (!count) nothing();
}

/** Say why nothing is there, and what to do next. */
function nothing() {
  const { q, commit, sort, p } = question();
  const found = parts(q);
  /** @type {(string | HTMLElement)[]} */
  const ways = [];
  if (found.conditions.length > 1) {
    for (const [i, condition] of found.conditions.entries()) {
      const without = [...found.conditions.slice(0, i), ...found.conditions.slice(i + 1)].join(" AND ");
      const text = [without, found.tail].filter(Boolean).join(" ");
      ways.push(h("li", null, h("a", { href: url("/", { q: text, commit, sort, p }), class: "code" }, `without ${condition}`)));
    }
  }
  if (q) ways.push(h("li", null, h("a", { href: url("/", { commit }) }, "all samples")));
  if (q) empty.replaceChildren(h("h2", null, "No sample matches"), h("p", null, "Ask for:"), h("ul", null, ...ways));
  else {
    empty.replaceChildren(
      h("h2", null, "There are no samples yet"),
      h("p", null, "Put pictures in, and they appear here:"),
      h("pre", null, "slicedb ingest photos/\nslicedb embed"),
    );
  }
}

/** @param {unknown} value */
function printed(value) {
  if (value === null) return "";
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(6)));
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Show the result of a SELECT that is no set of samples. @param {Question} now */
async function figures(now) {
  const found = await api("/api/table", { params: { ...params(now), a: 0, b: ROWS }, signal: leaving.signal });
  if (asked !== now) return;
  packs?.close();
  packs = null;
  answered = now;
  counted = "";
  grid.cursor = -1;
  facets.clear();
  box.ran(now.q);
  const isNumber = found.columns.map((/** @type {{type: string}} */ c) => /INT|DOUBLE|FLOAT|DECIMAL/.test(c.type));
  const cell = (/** @type {unknown} */ value, /** @type {number} */ i) =>
    h("td", { class: isNumber[i] ? "n" : null, dir: "auto", title: typeof value === "number" ? String(value) : null }, printed(value));
  const head = h("tr", null, ...found.columns.map((/** @type {{name: string}} */ c, /** @type {number} */ i) => h("th", { scope: "col", class: isNumber[i] ? "n" : null }, c.name)));
  const body = found.rows.map((/** @type {unknown[]} */ row) => h("tr", null, ...row.map(cell)));
  table.replaceChildren(h("table", null, h("thead", null, head), h("tbody", null, ...body)));
  scroller.hidden = true;
  empty.hidden = true;
  table.hidden = false;
  const more = found.count > found.rows.length ? `, the first ${found.rows.length} of them here` : "";
  status.textContent = `${found.count.toLocaleString("en")} ${found.count === 1 ? "row" : "rows"}${more}`;
  busy(false);
}

/** Say what is wrong with what was asked; the last answer stays on screen. @param {unknown} error */
function wrong(error) {
  busy(false);
  if (error instanceof ApiError && error.status >= 400 && error.status < 500) {
    box.wrong(error);
    facets.say(answered?.q ?? "");
    if (answered) status.textContent = `${grid.count.toLocaleString("en")} samples of the query before`;
    else {
      empty.hidden = false;
      empty.replaceChildren(h("h2", null, "This query does not run"), h("p", null, "The line below the box says why. "), h("a", { href: url("/") }, "Show all samples"));
    }
    return;
  }
  failed(error);
}

/** Say at once that an answer is on its way, and show it where that takes a while. @param {boolean} is */
function busy(is) {
  scroller.setAttribute("aria-busy", String(is));
  clearTimeout(later);
  const mark = () => {
    by("busy").hidden = !is;
  };
  if (is) later = setTimeout(mark, 200);
  else mark();
}

/** Learn which columns there are, for the lists and the figures. */
async function columns() {
  try {
    const found = await api("/api/columns", { params: { commit: question().commit || undefined } });
    const known = found.columns.map(named);
    facets.know(known);
    options(known);
    layers(found.boxes, found.models);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 429) failed(error);
    facets.know(ALWAYS); // what every database has
  }
}

/** Name a column as a query does: those of a model with its name. @param {Column & {column?: string}} given @returns {Column} */
function named(given) {
  return { ...given, name: given.column ?? given.name };
}

/** @param {Column[]} known */
function options(known) {
  const plain = known.filter((column) => column.sort);
  const option = (/** @type {{name: string}} */ c) => h("option", { value: c.name }, c.name);
  const [sort, kept] = [question().sort, caption.value];
  sorting.replaceChildren(h("option", { value: "" }, "as asked"), ...plain.map(option));
  caption.replaceChildren(h("option", { value: "" }, "nothing"), ...plain.map(option));
  setSort(sort);
  if (plain.some((column) => column.name === kept)) caption.value = kept;
}

/** All models, in the order of their colours. @type {string[]} */
let models = [];

/** Offer the boxes that can be drawn, alone and together; what was chosen before stays. @param {string[]} found columns of boxes @param {string[]} known */
function layers(found, known) {
  models = known;
  const name = (/** @type {string} */ column) => (column === TRUTH ? "truth" : model(column));
  const said = found.filter((column) => column !== TRUTH);
  const both = found.length > said.length ? said.map((column) => [TRUTH, column]) : [];
  const choices = [[], ...found.map((column) => [column]), ...both, ...(said.length > 1 ? [found] : [])];
  const option = (/** @type {string[]} */ one) =>
    h("option", { value: one.join(",") }, one.length > 2 ? "all" : one.map(name).join(" and ") || "none");
  drawing.replaceChildren(...choices.map(option));
  by("drawing").hidden = !found.length;
  let kept = null;
  try {
    kept = localStorage.getItem(BOXES);
  } catch {
    // As on a first visit.
  }
  const values = choices.map((one) => one.join(","));
  drawing.value = kept !== null && values.includes(kept) ? kept : (values[1] ?? "");
  if (!drawing.value) return;
  if (answered) pictures(answered, undefined);
  void panel.marked(question().commit || undefined);
}

// Tools above the grid

/** @param {string} sort */
function setSort(sort) {
  const name = sort.replace(/^-/, "");
  if (name && ![...sorting.options].some((option) => option.value === name)) sorting.append(h("option", { value: name }, name));
  sorting.value = name;
  turned.disabled = !name;
  turned.textContent = sort.startsWith("-") ? "↓" : "↑";
  turned.setAttribute("aria-label", sort.startsWith("-") ? "Descending; turn" : "Ascending; turn");
}

function held() {
  try {
    return Number(localStorage.getItem(HELD)) || SIZE;
  } catch {
    return SIZE;
  }
}

/** @param {number} size */
function setSize(size) {
  const next = Math.round(Math.max(SMALLEST, Math.min(LARGEST, size)));
  zoom.value = String(next);
  grid.resize(next);
  if (packs && answered && packs.side !== side() && same(answered, asked)) pictures(answered, undefined);
}

/** @param {number} size */
function resize(size) {
  setSize(size);
  state.set({ size: grid.size, at: grid.place || null }, { quiet: true });
  try {
    localStorage.setItem(HELD, String(grid.size));
  } catch {
    // The size is in the address.
  }
}

/** @param {string[]} like @param {string[]} unlike @param {Record<string, string>} [more] */
function orderBy(like, unlike, more = {}) {
  ask(liked(question().q, like, unlike), { sort: "", ...more });
}

/** @param {string} id @param {boolean} more */
function likeThis(id, more) {
  const target = `sample(${quoted(id)})`;
  orderBy(more ? [target] : [], more ? [] : [target]);
}

/** Look for what is like a picture of the reader's. @param {Blob | null | undefined} picture */
async function likePicture(picture) {
  if (!picture) return;
  try {
    const { name } = await api("/api/uploads", { body: picture });
    const p = JSON.stringify({ upload: name });
    const { q } = question();
    ask(liked(q, ["image($upload)"], []), { sort: "", p });
  } catch (error) {
    failed(error);
  }
}

/** @param {DataTransfer | null} given */
function pictureOf(given) {
  return [...(given?.files ?? [])].find((one) => one.type.startsWith("image/"));
}

// Selection

/** @param {number} index @param {"one" | "toggle" | "range"} how */
async function pick(index, how) {
  const id = packs?.get(index)?.row.id;
  if (!id) return;
  if (how === "range" && anchor >= 0) await pickRange(anchor, index);
  else {
    if (how === "one") selected.clear();
    if (selected.has(id)) selected.delete(id);
    else selected.add(id);
    anchor = index;
  }
  grid.cursor = index;
  grid.refresh();
  told();
}

/** @param {number} from @param {number} to */
async function pickRange(from, to) {
  const [a, b] = [Math.min(from, to), Math.max(from, to) + 1];
  if (b - a > MOST_SELECTED) {
    notice(`A range selects ${MOST_SELECTED.toLocaleString("en")} samples at most. A condition in the query chooses any number.`);
    return;
  }
  try {
    for (let start = a; start < b; start += ROWS) {
      const end = Math.min(b, start + ROWS);
      const known = Array.from({ length: end - start }, (_, i) => packs?.get(start + i)?.row.id);
      const ids = known.every(Boolean) ? known : await listed(start, end);
      for (const id of ids) if (id) selected.add(id);
    }
  } catch (error) {
    failed(error);
  }
}

/** @param {number} a @param {number} b @returns {Promise<string[]>} */
async function listed(a, b) {
  const { rows } = await api("/api/page", { params: { ...params(question()), a, b, columns: "label" } });
  return rows.map((/** @type {{id: string}} */ row) => row.id);
}

/** Say what is selected, and offer what can be done with it. */
function told() {
  grid.marked();
  const n = selected.size;
  chosen.hidden = !n;
  by("chosen-count").textContent = `${n.toLocaleString("en")} selected`;
  for (const name of ["only", "more-like", "less-like"]) {
    const button = /** @type {HTMLButtonElement} */ (by(name));
    button.disabled = n > (name === "only" ? MOST_LISTED : 50);
  }
  const review = /** @type {HTMLAnchorElement} */ (by("review-these"));
  review.hidden = n > MOST_LISTED;
  if (!review.hidden) review.href = url("/clean", { queue: "query", q: `id IN (${[...selected].map(quoted).join(", ")})` });
}

function clear() {
  selected.clear();
  anchor = -1;
  told();
}

const targetsOfSelected = () => [...selected].map((id) => `sample(${quoted(id)})`);

by("only").addEventListener("click", () => {
  const ids = [...selected];
  clear();
  ask(`id IN (${ids.map(quoted).join(", ")})`, { sort: "" });
});
by("more-like").addEventListener("click", () => orderBy(targetsOfSelected(), []));
by("less-like").addEventListener("click", () => orderBy([], targetsOfSelected()));
by("clear").addEventListener("click", clear);

// One sample

/** @param {number} index */
function open(index) {
  const id = packs?.get(index)?.row.id;
  if (!id) return;
  const isFirst = !state.get().open;
  state.set({ open: id, at: grid.place || null }, { push: isFirst, quiet: true });
  void panel.open(id, question().commit || undefined);
  grid.go(index);
}

function close() {
  state.set({ open: null }, { quiet: true });
  panel.close();
  scroller.focus({ preventScroll: true });
}

/** Move the cursor, and with it the open sample; with Shift the selection grows. @param {number} step @param {boolean} [isRange] */
async function move(step, isRange = false) {
  if (!grid.count) return;
  if (grid.cursor < 0 && panel.isOpen) grid.cursor = packs?.find(panel.id) ?? -1;
  const from = grid.cursor < 0 ? -1 : grid.cursor;
  const to = from < 0 ? grid.place : Math.max(0, Math.min(grid.count - 1, from + step));
  if (isRange && anchor < 0) anchor = Math.max(0, from);
  grid.go(to);
  if (isRange) {
    await pickRange(anchor, to);
    told();
  }
  const id = packs?.get(to)?.row.id;
  if (panel.isOpen && id) {
    state.set({ open: id }, { quiet: true });
    void panel.open(id, question().commit || undefined);
  }
}

/** Return the address of the query, and the place of a sample in it. @param {string} id */
function placeOf(id) {
  const at = packs?.find(id) ?? -1;
  return at < 0 ? {} : { ...params(answered ?? question()), at };
}

// Parts of the page

const drawn = () => ({ drawn: drawing.value ? drawing.value.split(",") : [], models });
const panel = new Panel({ onClose: close, onLike: likeThis, onStep: (step) => void move(step), place: placeOf, boxes: drawn });
const facets = new Facets(by("facets"), (text) => ask(text));
const box = new Box(/** @type {HTMLFormElement} */ (by("box")), {
  onRun: (text) => ask(text.trim()),
  onLeave: () => (table.hidden ? (grid.count ? scroller : by("main")) : table).focus(),
  params: () => ({ commit: question().commit || undefined, p: question().p || undefined }),
});
const grid = new Grid(scroller, selected, {
  onOpen: open,
  onPick: (index, how) => void pick(index, how),
  onPlace: () => {
    clearTimeout(placed);
    placed = setTimeout(() => {
      if (packs && same(answered, question())) state.set({ at: grid.place || null }, { quiet: true });
    }, 250);
  },
  caption: (row) => {
    const value = caption.value ? row[caption.value] : null;
    if (value === null || value === undefined) return "";
    if (typeof value === "number" && !Number.isInteger(value)) return value.toPrecision(3);
    return typeof value === "string" ? value : JSON.stringify(value);
  },
  marks: (row) => outlines(/** @type {any} */ (row), models),
}, data().ratio);
/** @type {ReturnType<typeof setTimeout> | undefined} */
let placed;

by("likeness").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = words.value.trim();
  if (text) orderBy([quoted(text)], []);
  words.value = "";
});
by("picture").addEventListener("click", () => file.click());
file.addEventListener("change", () => {
  void likePicture(file.files?.[0]);
  file.value = "";
});
addEventListener("paste", (event) => {
  const picture = pictureOf(event.clipboardData);
  if (picture) void likePicture(picture);
});
addEventListener("dragover", (event) => {
  if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
});
addEventListener("drop", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  void likePicture(pictureOf(event.dataTransfer));
});
sorting.addEventListener("change", () => ask(question().q, { sort: sorting.value }));
turned.addEventListener("click", () => {
  const { q, sort } = question();
  ask(q, { sort: sort.startsWith("-") ? sort.slice(1) : `-${sort}` });
});
caption.addEventListener("change", () => {
  try {
    localStorage.setItem(CAPTION, caption.value);
  } catch {
    // It lasts as long as the page.
  }
  if (answered) pictures(answered, undefined);
});
drawing.addEventListener("change", () => {
  try {
    localStorage.setItem(BOXES, drawing.value);
  } catch {
    // It lasts as long as the page.
  }
  if (answered) pictures(answered, undefined);
  void panel.marked(question().commit || undefined);
});
zoom.addEventListener("input", () => resize(Number(zoom.value)));
/** The query as it stands, with the order that the list above the pictures says. */
function whole() {
  const { q, sort } = question();
  const order = sort ? `ORDER BY ${sort.replace(/^-/, "")}${sort.startsWith("-") ? " DESC" : ""}` : "";
  const found = parts(q);
  if (!order || found.cut) return q;
  return joined({ ...found, tail: order });
}

document.getElementById("name")?.addEventListener("click", () => {
  const { q } = question(); // a slice has no order
  void import("./naming.js").then(({ nameQuery }) => nameQuery(unordered(q)), failed);
});
by("copy").addEventListener("click", () => {
  const text = whole();
  void navigator.clipboard?.writeText(text).then(() => notice("The query is in the clipboard.", { seconds: 3 }));
});
document.addEventListener("back", () => {
  if (asked && !waiting && !same(asked, answered)) void answer(asked, 0);
});
state.on(() => show());

const isHere = () => {
  const { activeElement } = document;
  return !activeElement || activeElement === document.body || activeElement.id === "main" || scroller.contains(activeElement) || by("panel").contains(activeElement);
};
const isGrid = () => isHere() && !by("panel").contains(document.activeElement);
/** @type {[string, () => number, string][]} */
const MOVES = [
  ["ArrowLeft", () => -1, "h"],
  ["ArrowRight", () => 1, "l"],
  ["ArrowUp", () => -grid.columns, "k"],
  ["ArrowDown", () => grid.columns, "j"],
];
for (const [key, step, letter] of MOVES) {
  const does = `${key.replace("Arrow", "").toLowerCase()}; with Shift select on the way`;
  for (const one of [key, letter, letter.toUpperCase()]) {
    keys.add({ key: one, does, where: isHere, run: (event) => void move(step(), event.shiftKey) });
  }
}
keys.add(
  { key: "/", does: "write a query", run: () => box.focus() },
  { key: "Home", does: "first sample", where: isGrid, run: () => grid.go(0) },
  { key: "End", does: "last sample", where: isGrid, run: () => grid.go(grid.count - 1) },
  { key: "PageUp", does: "a page up", where: isGrid, run: (event) => void move(-grid.page * grid.columns, event.shiftKey) },
  { key: "PageDown", does: "a page down", where: isGrid, run: (event) => void move(grid.page * grid.columns, event.shiftKey) },
  { key: "Enter", does: "open the sample", where: isGrid, run: () => (grid.cursor < 0 ? void move(0) : open(grid.cursor)) },
  { key: "x", does: "select the sample", where: isHere, run: () => void pick(Math.max(0, grid.cursor), "toggle") },
  { key: "m", does: "more like the sample", where: isHere, run: () => likeCursor(true) },
  { key: "n", does: "less like the sample", where: isHere, run: () => likeCursor(false) },
  { key: "+", does: "larger pictures", run: () => resize(grid.size * 1.25) },
  { key: "-", does: "smaller pictures", run: () => resize(grid.size / 1.25) },
  { key: "Escape", does: "close the sample, then drop the selection", run: () => (panel.isOpen ? close() : clear()) },
);

/** @param {boolean} more */
function likeCursor(more) {
  const id = panel.isOpen ? panel.id : packs?.get(grid.cursor)?.row.id;
  if (id) likeThis(id, more);
}

try {
  caption.value = localStorage.getItem(CAPTION) ?? "label";
  if (caption.value !== (localStorage.getItem(CAPTION) ?? "label")) {
    const kept = localStorage.getItem(CAPTION) ?? "";
    caption.append(h("option", { value: kept }, kept));
    caption.value = kept;
  }
} catch {
  caption.value = "label";
}
history.scrollRestoration = "manual";
show();
