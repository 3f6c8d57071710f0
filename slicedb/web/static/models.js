// @ts-check
// Models: the heat map, and what is known of one model on one slice; the address holds what is chosen.

import { api, ApiError, by, data, explore, h, prose, reason, state, url } from "./base.js";

/** @typedef {{name: string, task: string, classes: string[], n: number, metrics: string[]}} Model */
/** @typedef {{slice: string, wins: number, losses: number, won: string, lost: string}} Compared */

const models = /** @type {Model[]} */ (data().models);

/** @param {string} id */
const select = (id) => /** @type {HTMLSelectElement} */ (by(id));
/** @param {string} id */
const input = (id) => /** @type {HTMLInputElement} */ (by(id));

/** @type {Record<string, AbortController>} */
const running = {};

/**
 * Fill a section with what the server says; a later call ends an earlier one.
 * @param {string} id
 * @param {(signal: AbortSignal) => Promise<any>} ask
 * @param {(told: any, host: HTMLElement) => void} show
 */
async function fill(id, ask, show) {
  const host = by(id);
  running[id]?.abort();
  const control = (running[id] = new AbortController());
  host.classList.add("waits");
  host.setAttribute("aria-busy", "true");
  if (!host.firstChild) host.append(h("p", { class: "soft" }, "Computing …"));
  for (;;) {
    try {
      const told = await ask(control.signal);
      if (control.signal.aborted) return;
      host.replaceChildren();
      show(told, host);
      break;
    } catch (error) {
      if (control.signal.aborted) return;
      if (error instanceof ApiError && error.status === 429) {
        await new Promise((done) => setTimeout(done, 400));
        continue;
      }
      host.replaceChildren(h("p", { class: "soft" }, ...prose(reason(error))));
      break;
    }
  }
  host.classList.remove("waits");
  host.removeAttribute("aria-busy");
}

/**
 * Return markup that the server rendered and escaped, its cells as links to their queries.
 * @param {string} markup
 */
function drawn(markup) {
  const box = h("div");
  box.innerHTML = markup;
  for (const cell of /** @type {NodeListOf<HTMLElement>} */ (box.querySelectorAll("[data-query]"))) {
    const { query = "", about = "" } = cell.dataset;
    const link = h("a", { href: explore(query), title: about ? `${about}\n${query}` : query });
    link.append(...cell.childNodes);
    cell.append(link);
  }
  for (const cell of box.querySelectorAll("[data-tip]")) cell.setAttribute("title", cell.getAttribute("data-tip") ?? "");
  return box;
}

// Slices and models

let heldOut = false;

function chosen() {
  return /** @type {HTMLInputElement[]} */ ([...document.querySelectorAll("#chosen input:checked")]).map((box) => box.value);
}

function metrics() {
  const names = chosen();
  const offered = [...new Set(models.filter((model) => names.includes(model.name)).flatMap((model) => model.metrics))];
  const wanted = state.get().metric;
  const field = select("metric");
  field.replaceChildren(...offered.map((name) => h("option", { value: name }, name)));
  if (offered.includes(wanted)) field.value = wanted;
}

function grid() {
  const names = chosen();
  if (!names.length) {
    by("grid").replaceChildren(h("p", { class: "soft" }, "Choose a model."));
    return;
  }
  const body = { models: names, metric: select("metric").value, held_out: heldOut };
  void fill(
    "grid",
    (signal) => api("/api/models/evaluate", { body, signal }),
    (told, host) => {
      const box = drawn(told.html);
      for (const head of /** @type {NodeListOf<HTMLElement>} */ (box.querySelectorAll("th[data-slice]"))) {
        const name = head.dataset.slice ?? "";
        if (name === "all") head.textContent = "all samples";
        else head.replaceChildren(h("a", { href: url("/slices", { name }) }, name));
      }
      const how = told.rises ? "higher is better" : "lower is better";
      host.append(
        box,
        h("p", { class: "soft" }, `${told.metric}: a stronger colour is better (${how}). In brackets the ${Math.round(100 * told.confidence)} % interval; a cell opens the mistakes.`),
        ...told.warnings.map((/** @type {string} */ text) => h("p", null, h("b", null, "Note: "), text)),
      );
      by("held").hidden = !told.n_held_back;
      if (told.n_held_back) {
        const n = told.n_held_back;
        host.append(h("p", { class: "soft" }, `${n} held-out ${n === 1 ? "slice is" : "slices are"} not looked at before you ask: a look counts.`));
      }
    },
  );
}

// One model on one slice

const about = () => ({ model: select("model").value, slice: select("slice").value });

/** @param {string} id @param {string} path @param {(told: any, host: HTMLElement) => void} show @param {object} [more] */
function section(id, path, show, more = {}) {
  void fill(id, (signal) => api(`/api/models/${path}`, { params: { ...about(), ...more }, body: {}, signal }), show);
}

function one() {
  section("confusion", "confusion", confusion);
  section("mistakes", "mistakes", mistakes);
  section("classes", "classes", (told, host) => {
    host.append(drawn(told.html), h("p", { class: "soft" }, `Rails run from 0 to 1; in brackets the ${Math.round(100 * told.confidence)} % interval. A class opens its mistakes.`));
  });
  curves();
}

/** @param {any} told @param {HTMLElement} host */
function confusion(told, host) {
  const pairs = told.pairs.slice(0, 12).map((/** @type {{label: string, prediction: string, n: number, query: string}} */ pair) =>
    h("tr", null, h("td", { dir: "auto" }, pair.label), h("td", { dir: "auto" }, pair.prediction), h("td", { class: "n" }, h("a", { href: explore(pair.query) }, pair.n.toLocaleString("en")))),
  );
  host.append(drawn(told.html), h("p", { class: "soft" }, `${told.about}. Shades are shares of the row; a cell opens its samples.`));
  if (!pairs.length) return;
  const head = h("tr", null, h("th", { scope: "col" }, "truth"), h("th", { scope: "col" }, "called"), h("th", { scope: "col", class: "n" }, "n"));
  host.append(h("details", null, h("summary", null, "Most frequent mistakes"), h("table", null, h("thead", null, head), h("tbody", null, ...pairs))));
}

/** @param {any} told @param {HTMLElement} host */
function mistakes(told, host) {
  const rows = told.findings.map((/** @type {{name: string, description: string, query: string, n: number, share: number}} */ found) =>
    h(
      "tr",
      null,
      h("td", null, found.description || found.name),
      h("td", { class: "n" }, found.query && found.n ? h("a", { href: explore(found.query) }, found.n.toLocaleString("en")) : found.n.toLocaleString("en")),
      h("td", { class: "n" }, Number.isFinite(found.share) ? `${(100 * found.share).toFixed(1)}%` : ""),
    ),
  );
  const head = h("tr", null, h("th", { scope: "col" }, "what"), h("th", { scope: "col", class: "n" }, "n"), h("th", { scope: "col", class: "n" }, "share"));
  host.append(h("div", { class: "wide" }, h("table", { class: "findings" }, h("thead", null, head), h("tbody", null, ...rows))));
  if (!told.top.length) return;
  const ids = told.top.map((/** @type {{id: string}} */ row) => row.id);
  host.append(h("h3", null, "The largest losses ", told.top_query ? h("a", { href: explore(told.top_query) }, "open as a query") : null), thumbs(ids, told.top));
}

/** @param {string[]} ids @param {{label?: string, prediction?: string, loss?: number}[]} [rows] */
function thumbs(ids, rows = []) {
  const pictures = ids.map((id, at) => {
    const { label, prediction, loss } = rows[at] ?? {};
    const what = [id, label && `label ${label}`, prediction && `called ${prediction}`, loss !== undefined && loss !== null && `loss ${loss.toPrecision(3)}`];
    const title = what.filter(Boolean).join("\n");
    return h("a", { href: url("/sample", { id }), title }, h("img", { src: url("/api/picture", { id, side: 160 }), alt: title, loading: "lazy", width: 96, height: 96 }));
  });
  return h("div", { class: "thumbs" }, ...pictures);
}

// Curves

function curves() {
  const more = { positive: state.get().positive, false_positive: input("fp").value, false_negative: input("fn").value };
  section("curves", "curves", drawCurves, more);
}

/** @param {string} title @param {string} markup @param {string} text */
function figure(title, markup, text) {
  return h("figure", null, h("h3", null, title), drawn(markup), h("figcaption", null, text));
}

/** @param {any} told @param {HTMLElement} host */
function drawCurves(told, host) {
  const form = by("costs");
  form.hidden = !told.cost;
  if (told.cost) {
    select("positive").replaceChildren(...told.classes.map((/** @type {string} */ name) => h("option", { value: name }, name)));
    select("positive").value = told.positive;
  }
  const charts = h("div", { class: "charts" });
  if (told.threshold) charts.append(figure("Precision, recall and F1 by threshold", told.threshold.svg, told.threshold.about));
  if (told.cost) {
    const shown = figure("Cost by threshold", told.cost.svg, told.cost.about);
    shown.append(h("p", null, h("a", { href: explore(told.cost.query) }, "What is decided yes, as a query")));
    if (told.cost.rates) shown.append(h("p", { class: "soft" }, `At the threshold, held out: ${told.cost.rates}.`));
    charts.append(shown);
  }
  for (const chart of told.reliability?.charts ?? []) charts.append(figure(`Reliability, ${chart.title}`, chart.svg, ""));
  host.append(charts);
  if (told.reliability) host.append(h("p", { class: "soft" }, told.reliability.about));
  if (told.cost) host.append(policies(told.cost.policies));
  for (const text of told.missing) host.append(h("p", { class: "soft" }, text));
}

/** @param {{policy: string, cost: number, low: number, high: number, n: number}[]} rows */
function policies(rows) {
  const heads = ["decision", "cost per sample", "95 % interval", "n"].map((text, at) => h("th", { scope: "col", class: at ? "n" : null }, text));
  const four = (/** @type {number | null} */ value) => (value === null ? "–" : value.toPrecision(4));
  const lines = rows.map((row) =>
    h("tr", null, h("th", { scope: "row" }, row.policy), h("td", { class: "n" }, four(row.cost)), h("td", { class: "n" }, `[${four(row.low)}, ${four(row.high)}]`), h("td", { class: "n" }, row.n.toLocaleString("en"))),
  );
  return h("div", { class: "wide" }, h("table", null, h("thead", null, h("tr", null, ...heads)), h("tbody", null, ...lines)));
}

// Two models

function compare() {
  if (models.length < 2) return;
  const [a, b] = [select("a").value, select("b").value];
  by("flipped").replaceChildren();
  const tasks = [a, b].map((name) => models.find((each) => each.name === name)?.task);
  if (a === b || tasks[0] !== tasks[1]) {
    const why = a === b ? "Choose two different models of one task." : `${a} does ${tasks[0]}, ${b} does ${tasks[1]}: choose two of one task.`;
    by("compare").replaceChildren(h("p", { class: "soft" }, why));
    return;
  }
  void fill(
    "compare",
    (signal) => api("/api/models/compare", { params: { a, b, held_out: heldOut }, body: {}, signal }),
    (told, host) => {
      const box = drawn(told.html);
      const lines = box.querySelectorAll("tbody tr");
      const heads = [...box.querySelectorAll("thead th")].map((head) => head.textContent ?? "");
      told.rows.forEach((/** @type {Compared} */ row, /** @type {number} */ at) => flips(row, /** @type {HTMLElement} */ (lines[at]), heads));
      host.append(box, ...told.about.map((/** @type {string} */ text) => h("p", { class: "soft" }, text)));
      const scope = select("slice").value;
      const first = told.rows.find((/** @type {Compared} */ row) => row.slice === scope) ?? told.rows[0];
      if (first) void flipped(first);
    },
  );
}

/** Make the counts of a row open its flipped samples. @param {Compared} row @param {HTMLElement} line @param {string[]} heads */
function flips(row, line, heads) {
  for (const [name, query] of [["wins", row.won], ["losses", row.lost]]) {
    const cell = line.children[heads.indexOf(name)];
    if (cell && query && cell.textContent !== "0") cell.replaceChildren(h("a", { href: explore(query), title: query }, cell.textContent ?? ""));
  }
  const first = line.children[0];
  const show = h("button", { type: "button", class: "quiet", title: "Show what flipped" }, row.slice === "all" ? "all samples" : row.slice);
  show.addEventListener("click", () => void flipped(row));
  first?.replaceChildren(show);
  line.dataset.of = row.slice;
}

/** @param {Compared} row */
async function flipped(row) {
  for (const line of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#compare tbody tr"))) line.classList.toggle("on", line.dataset.of === row.slice);
  const [a, b] = [select("a").value, select("b").value];
  const where = row.slice === "all" ? "all samples" : row.slice;
  void fill(
    "flipped",
    (signal) => Promise.all([row.won, row.lost].map((q) => (q ? api("/api/models/flipped", { params: { q }, signal }) : null))),
    (told, host) => {
      const sides = [`${a} right, ${b} wrong`, `${b} right, ${a} wrong`].map((title, at) => {
        const found = told[at];
        if (!found) return null;
        const open = found.n ? h("a", { href: explore(found.query) }, "open as a query") : null;
        return h("div", null, h("h3", null, `${title}, on ${where}: ${found.n.toLocaleString("en")} ${found.n === 1 ? "sample" : "samples"} `, open), thumbs(found.ids));
      });
      host.append(h("div", { class: "sides" }, ...sides));
    },
  );
}

// What is chosen

/** Return the names of the models of a task. @param {string} task */
const of = (task) => models.filter((each) => each.task === task).map((each) => each.name);

function restore() {
  const { models: named, model, slice, a, b } = state.get();
  const known = models.map((each) => each.name);
  // Without a choice: the task that most models do.
  const most = models.reduce((best, each) => (of(each.task).length > of(best.task).length ? each : best));
  const first = models.find((each) => each.name === model) ?? most;
  const shown = named ? named.split(",") : of(first.task).slice(0, 12);
  for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll("#chosen input"))) box.checked = shown.includes(box.value);
  select("model").value = first.name;
  select("slice").value = [...select("slice").options].some((option) => option.value === slice) ? slice : "all";
  if (models.length < 2) return;
  const pair = of(first.task).length > 1 ? of(first.task) : of(most.task);
  select("b").value = b && known.includes(b) ? b : pair[0];
  select("a").value = a && known.includes(a) ? a : (pair.find((name) => name !== select("b").value) ?? pair[0]);
}

function everything() {
  restore();
  metrics();
  grid();
  one();
  compare();
}

by("chosen").addEventListener("change", () => {
  state.set({ models: chosen().join(",") }, { quiet: true });
  metrics();
  grid();
});
select("metric").addEventListener("change", () => {
  state.set({ metric: select("metric").value }, { quiet: true });
  grid();
});
by("held").addEventListener("click", () => {
  heldOut = true;
  grid();
  compare();
});
for (const id of ["model", "slice"]) {
  select(id).addEventListener("change", () => {
    state.set({ [id]: select(id).value, positive: null }, { push: true, quiet: true });
    one();
  });
}
by("costs").addEventListener("submit", (event) => {
  event.preventDefault();
  state.set({ positive: select("positive").value }, { quiet: true });
  curves();
});
for (const id of ["a", "b"]) {
  document.getElementById(id)?.addEventListener("change", () => {
    state.set({ a: select("a").value, b: select("b").value }, { quiet: true });
    compare();
  });
}
state.on(everything);
everything();
