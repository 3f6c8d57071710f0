// @ts-check
// Try: send a picture, ask each model about it, lay over it what was looked at or found.

import { api, ApiError, by, data, explore, failed, h, keys, prose, state, svg, url } from "./base.js";

/**
 * @typedef {{label: string, score: number | null, xywh: number[]}} Box
 * @typedef {{model: string, task: string, prediction: string, confidence: number | null, classes: {name: string, p: number}[],
 *   n_classes: number, boxes: Box[], maps: boolean, notes: string[], seconds: number}} Said
 */

const MOST = 10_000_000;
const LISTED = 6;
const COLOURS = 8;

/** What is tried: a name that the server gave. */
let picture = "";
/** Calls off what the picture before is asked. */
let asking = new AbortController();

/** @returns {HTMLElement[]} */
const models = () => [...document.querySelectorAll(/** @type {"article"} */ ("article.model"))];
const shown = /** @type {HTMLImageElement} */ (by("shown"));

// The picture

/** @param {Blob | null | undefined} file */
async function send(file) {
  if (!file) return;
  if (file.size > MOST) {
    failed(new Error(`The file has ${(file.size / 1e6).toFixed(1)} MB; a picture may have 10 MB.`));
    return;
  }
  by("about").textContent = "sending …";
  try {
    const { name } = await api("/api/uploads", { body: file });
    state.set({ picture: name }, { push: true });
  } catch (error) {
    by("about").textContent = "";
    failed(error);
  }
}

/** Show the picture of the address, and ask about it. */
async function take() {
  const name = state.get().picture ?? "";
  if (name === picture) return;
  picture = name;
  asking.abort();
  asking = new AbortController();
  by("picture").hidden = !name;
  by("drop").classList.toggle("small", Boolean(name));
  by("nearest").hidden = !name;
  for (const model of models()) clear(model);
  if (!name) return;
  lay(null);
  by("about").textContent = "";
  const signal = asking.signal;
  void near(signal);
  // One after the other: they share the machine, and the first answer is there at once.
  for (const model of models()) {
    if (signal.aborted) return;
    if (!(await ask(model, signal))) return;
  }
}

/** @param {HTMLElement} model */
function clear(model) {
  const [answer, took] = [model.querySelector(".answer"), model.querySelector(".took")];
  if (answer) answer.textContent = picture ? "waiting …" : "";
  if (took) took.textContent = "";
}

/**
 * Ask one model.
 * @param {HTMLElement} model
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>} whether to go on
 */
async function ask(model, signal) {
  const name = model.dataset.model ?? "";
  const answer = /** @type {HTMLElement} */ (model.querySelector(".answer"));
  answer.className = "answer soft";
  answer.textContent = "looking …";
  try {
    const said = /** @type {Said} */ (await api("/api/try", { params: { model: name, picture }, signal }));
    const took = model.querySelector(".took");
    if (took) took.textContent = `${said.seconds.toFixed(2)} s`;
    answer.className = "answer";
    const task = model.querySelector(".tagged");
    if (task) task.textContent = said.task;
    answer.replaceChildren(...answered(said));
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    const lost = error instanceof ApiError && error.status === 0;
    answer.replaceChildren(h("p", { class: "FAIL" }, error instanceof Error ? error.message : String(error)), h("p", { class: "soft" }, ...prose(error instanceof ApiError ? error.hint : "")));
    if (error instanceof ApiError && error.message.includes("not held any more")) by("about").textContent = "The server does not hold the picture any more: give it again.";
    return !lost;
  }
}

/**
 * @param {Said} said
 * @returns {Node[]}
 */
function answered(said) {
  const sure = said.confidence === null ? "" : said.confidence.toFixed(3);
  const best = h("p", { class: "best" }, h("b", null, said.prediction || "nothing found"), sure && h("span", { class: "soft" }, ` confidence ${sure}`));
  const made = /** @type {Node[]} */ ([best]);
  if (said.classes.length) made.push(h("p", { class: "soft" }, "A class shows what speaks for it."), classes(said));
  if (said.boxes.length) made.push(boxes(said));
  if (said.maps) made.push(h("button", { type: "button", onclick: () => lay({ model: said.model, title: `the regions of ${said.model}` }) }, "Show regions"));
  for (const note of said.notes) made.push(h("p", { class: "soft" }, ...prose(note)));
  return made;
}

/** @param {Said} said */
function classes(said) {
  const rows = said.classes.slice(0, LISTED).map(({ name, p }) => {
    const fill = h("div");
    fill.style.width = `${(100 * p).toFixed(1)}%`;
    const look = () => lay({ model: said.model, target: name, title: `what speaks for ${name}, by ${said.model}` });
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, h("button", { type: "button", class: "quiet", title: `Show what speaks for ${name}`, onclick: look }, name)),
      h("td", { class: "share" }, fill),
      h("td", { class: "n" }, p.toFixed(p < 0.0995 ? 4 : 3)),
    );
  });
  const more = said.n_classes - rows.length;
  const table = h("table", null, h("caption", { class: "quietly" }, `Classes of ${said.model} with their probability`), h("tbody", null, ...rows));
  return h("div", null, table, more > 0 && h("p", { class: "soft" }, `${more} more class${more === 1 ? "" : "es"}, ${(1 - sum(said)).toFixed(3)} together`));
}

/** The probability of the classes that are listed. @param {Said} said */
function sum(said) {
  return said.classes.slice(0, LISTED).reduce((total, { p }) => total + p, 0);
}

/** @param {Said} said */
function boxes(said) {
  const lowest = Math.min(...said.boxes.map((box) => box.score ?? 1));
  const slider = h("input", { type: "range", min: 0, max: 1, step: 0.01, value: Math.floor(lowest * 100) / 100, "aria-label": `Least score of the boxes of ${said.model}` });
  const text = h("span", { class: "soft" });
  const draw = () => {
    const least = Number(slider.value);
    const kept = said.boxes.filter((box) => (box.score ?? 1) >= least);
    text.textContent = `score ≥ ${least.toFixed(2)}: ${kept.length} of ${said.boxes.length} boxes`;
    lay({ model: "", boxes: kept, title: `the boxes of ${said.model}` });
  };
  slider.addEventListener("input", draw);
  draw();
  const by_label = new Map();
  for (const box of said.boxes) by_label.set(box.label, (by_label.get(box.label) ?? 0) + 1);
  const rows = [...by_label].map(([label, n]) => h("tr", null, h("th", { scope: "row" }, label), h("td", { class: "n" }, String(n))));
  return h("div", null, h("div", { class: "row" }, h("button", { type: "button", onclick: draw }, "Show boxes"), slider, text), h("table", null, h("tbody", null, ...rows)));
}

// What lies over it

/** @typedef {{model: string, target?: string, boxes?: Box[], title: string}} Layer */

/** Lay something over the picture; null shows it as it is. @param {Layer | null} layer */
function lay(layer) {
  const stage = by("stage");
  stage.querySelector("svg")?.remove();
  const params = { picture, model: layer?.model ?? "", target: layer?.target ?? "" };
  shown.onload = () => layer?.boxes && outline(layer.boxes);
  shown.onerror = () => layer && void explain(params);
  shown.src = url("/api/try/picture", params);
  shown.alt = layer ? `The picture with ${layer.title}` : "The picture that is tried";
  by("about").textContent = layer ? `Over it: ${layer.title}` : "";
  const plain = h("button", { type: "button", onclick: () => lay(null) }, "The picture alone");
  by("layers").replaceChildren(...(layer ? [plain] : []));
}

/** Say why a layer cannot be shown, and show the picture alone. @param {Record<string, string>} params */
async function explain(params) {
  lay(null);
  try {
    await api("/api/try/picture", { params, raw: true });
  } catch (error) {
    failed(error);
  }
}

/** @param {Box[]} found in pixels of the picture as it was given */
async function outline(found) {
  const stage = by("stage");
  const { width, height } = await size();
  const colours = new Map();
  for (const { label } of found) if (!colours.has(label)) colours.set(label, (colours.size % COLOURS) + 1);
  const marks = found.flatMap(({ label, score, xywh: [x, y, w, t] }) => {
    const at = { x, y, width: w, height: t };
    const front = svg("rect", at, svg("title", null, `${label} ${score === null ? "" : score.toFixed(2)}`));
    front.style.stroke = `var(--c${colours.get(label)})`;
    return [svg("rect", { ...at, class: "back" }), front];
  });
  // The picture and the drawing fill the same box, each as large as its sides allow.
  const over = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${found.length} boxes` }, ...marks);
  stage.querySelector("svg")?.remove();
  stage.append(over);
}

/** The size of the picture as it was given: that of the boxes. */
async function size() {
  const { width, height } = await api("/api/try/size", { params: { picture } });
  return { width, height };
}

// What is near

/** @param {AbortSignal} signal */
async function near(signal) {
  const holder = by("nearest");
  const tiles = /** @type {HTMLElement} */ (holder.querySelector(".tiles"));
  const select = /** @type {HTMLSelectElement | null} */ (document.getElementById("embedding"));
  const embedding = select?.value ?? data().embeddings[0];
  if (!embedding) {
    tiles.replaceChildren(h("p", { class: "soft" }, "There is no embedding to compare by: ", h("code", null, "slicedb embed"), " makes one."));
    by("more").hidden = true;
    return;
  }
  tiles.replaceChildren(h("p", { class: "soft" }, "looking …"));
  try {
    const { rows, query } = await api("/api/try/nearest", { params: { picture, embedding }, signal });
    const uploads = JSON.stringify({ upload: picture });
    const made = rows.map((/** @type {{id: string, label: string | null, similarity: number}} */ row, /** @type {number} */ i) =>
      h(
        "a",
        { href: explore(query, { p: uploads, open: row.id, at: i }), title: row.id },
        h("img", { src: url("/api/picture", { id: row.id, side: 160 }), alt: row.id, loading: "lazy" }),
        h("span", null, row.label ?? row.id),
        h("span", { class: "soft" }, `similarity ${row.similarity.toFixed(3)}`),
      ),
    );
    tiles.replaceChildren(...made);
    by("more").setAttribute("href", explore(query, { p: uploads }));
  } catch (error) {
    if (signal.aborted) return;
    tiles.replaceChildren();
    failed(error);
  }
}

document.getElementById("embedding")?.addEventListener("change", () => void near(asking.signal));

// Where pictures come from

const file = /** @type {HTMLInputElement} */ (by("file"));
file.addEventListener("change", () => {
  void send(file.files?.[0]);
  file.value = "";
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    by("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") void send(/** @type {DragEvent} */ (event).dataTransfer?.files[0]);
  });
}
document.addEventListener("paste", (event) => {
  const item = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
  if (item) void send(item);
});
keys.add({ key: "o", does: "choose a picture", run: () => file.click() });

state.on(() => void take());
void take();
