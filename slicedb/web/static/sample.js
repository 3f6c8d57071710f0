// @ts-check
// Sample: the picture with boxes, masks and CAM; facts, predictions, neighbours; edits in place.

import { api, ApiError, by, data, explore, failed, h, keys, notice, prose, state, url } from "./base.js";
import { PendingBar, author, editable as mayEdit, foot } from "./pending.js";
import { Steps } from "./steps.js";
import { Viewer } from "./viewer.js";

/** @typedef {import("./pending.js").Edit} Edit */
/** @typedef {import("./pending.js").Now} Now */
/** @typedef {import("./viewer.js").Box} Box */
/** @typedef {{name: string, prediction: string | null, confidence?: number | null, correct?: boolean | null, loss?: number | null, boxes: Box[], least?: number, classes: {name: string}[]}} Said */
/**
 * @typedef {{id: string, width: number | null, height: number | null, label: string | null, labels: string[] | null, tags: string[], broken: string,
 *   facts: [string, string][], ingested: [string, string][], boxes: Box[], classes: {name: string}[], models: Said[], cams: {name: string, stored: boolean}[],
 *   slices: string[], edits: Edit[], notes: string[], author: string, now?: Now}} Sample
 */

const SIDE = 1600;
const host = by("sample");
// A sample as it was at a commit is looked at, not changed.
const commit = state.get().commit ?? "";
const editable = mayEdit && !commit;

/** @type {Sample} */
let sample = data().sample;
/** @type {Now} */
let now = sample.now ?? { label: sample.label, labels: sample.labels, tags: sample.tags, boxes: sample.boxes, gone: false, decided: [] };
/** @type {{labels: string[], several: string[], boxes: string[]}} */
let known = { labels: [], several: [], boxes: [] };
let boxLabel = "";

// The layers that are shown; the address keeps them, "hide" by name and "cam" as one.
const hidden = new Set((state.get().hide ?? "").split(",").filter(Boolean));
let cam = state.get().cam ?? "";
let map = "";
// What counts is shown; lower, the boxes that a detector is less sure of appear too.
const counted = Math.min(1, ...sample.models.filter((model) => model.boxes.length).map((model) => model.least ?? 0));
let least = state.get().least ? Number(state.get().least) || 0 : counted;

const stage = h("div", { class: "frame-of-picture" });
const side = h("aside", { class: "facts", "aria-label": "Facts" });
const tools = h("div", { class: "tools row", role: "toolbar", "aria-label": "Layers and boxes" });
const steps = new Steps({ id: sample.id, saved: () => saving, picture: (id) => url("/api/sample/picture", { id, side: SIDE, commit }) });
host.append(h("section", { class: "looking", "aria-label": "Picture" }, steps.element, tools, stage), side);

const viewer = new Viewer(
  stage,
  editable
    ? {
        moved: (number, bbox) => decide({ set_box: { [number]: { bbox } } }),
        drawn: (bbox) => {
          const label = boxLabel || now.boxes.at(-1)?.label || known.boxes[0] || now.label || "object";
          decide({ add_box: [{ label, bbox }] }).then((said) => {
            if (said) viewer.choose(now.boxes.length);
          });
        },
        chosen: () => panels.boxes(),
      }
    : null,
);

/** Whether facts are drawn anew: a field that goes tells of a change that nobody has finished. */
let isDrawing = false;

const bar = new PendingBar(foot(), {
  changed: (said) => {
    if (said.sample === sample.id) take(said);
    else notice(`That was ${said.sample}.`, { action: { title: "Open it", run: () => location.assign(url("/sample", { id: said.sample })) } });
  },
  applied: () => reload(),
});

/** What is being written down; whoever leaves the page waits for it. @type {Promise<unknown>} */
let saving = Promise.resolve();

/** @param {Record<string, any>} what */
async function decide(what) {
  const asked = bar.decide([sample.id], what);
  saving = asked.catch(() => null);
  const said = await asked;
  if (said) {
    if (said.unchanged.length) notice("It is so already.");
    take(said);
  } else viewer.draw();
  return said;
}

/** Show what the server says of the sample now. @param {any} said */
function take(said) {
  const fresh = said.samples[sample.id];
  if (fresh) now = fresh;
  const edits = /** @type {Edit[]} */ (said.edits ?? []);
  const known = new Set(edits.map((edit) => edit.number)); // what is fetched anew may have them
  sample.edits = [...edits.toReversed(), ...sample.edits.filter((edit) => !known.has(edit.number))];
  if (said.edit) sample.edits = sample.edits.map((edit) => (edit.number === said.edit.number ? { ...edit, state: "taken back" } : edit));
  show();
}

async function reload() {
  try {
    const said = await api("/sample.json", { params: { id: sample.id, author: author(), commit } });
    sample = said.sample;
    now = sample.now ?? now;
    show();
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) {
      by("main").replaceChildren(
        h("section", { class: "empty" }, h("h2", null, "This sample was deleted"), h("p", null, "Undo brings it back: ", h("button", { type: "button", onclick: () => bar.undo({ id: sample.id }).then((done) => done && location.reload()) }, "Undo"))),
        foot(),
      );
    } else failed(error);
  }
}

// The picture

function tone(/** @type {number} */ at) {
  return `tone-${1 + (at % 7)}`;
}

function picture() {
  const src = url("/api/sample/picture", { id: sample.id, side: SIDE, cam, commit });
  viewer.show({ src, name: sample.id, width: sample.width, height: sample.height, broken: sample.broken });
  viewer.lay(map === "" ? "" : url("/api/sample/map", { id: sample.id, model: map === "truth" ? "" : map, commit }));
}

function layers() {
  const truth = { name: "truth", tone: "truth", boxes: now.boxes };
  const models = sample.models.map((model, at) => ({ name: model.name, tone: tone(at), boxes: model.boxes, dashed: true }));
  viewer.set(models.filter((layer) => !hidden.has(layer.name)), hidden.has("truth") ? null : truth, least);
}

/** @param {string} name @param {string} kind @param {boolean} on @param {(on: boolean) => void} set */
function toggle(name, kind, on, set, swatch = "") {
  const box = h("input", { type: "checkbox" });
  box.checked = on;
  box.addEventListener("change", () => set(box.checked));
  return h("label", { class: "chip" }, box, swatch && h("span", { class: `swatch ${swatch}`, "aria-hidden": "true" }), `${kind}${name}`);
}

function drawTools() {
  const parts = [];
  const flip = (/** @type {string} */ name) => (/** @type {boolean} */ on) => {
    if (on) hidden.delete(name);
    else hidden.add(name);
    state.set({ hide: [...hidden].join(",") });
    layers();
  };
  if (now.boxes.length || editable) parts.push(toggle("truth", "", !hidden.has("truth"), flip("truth"), "truth"));
  sample.models.forEach((model, at) => {
    if (model.boxes.length) parts.push(toggle(model.name, "", !hidden.has(model.name), flip(model.name), tone(at)));
  });
  if (sample.models.some((model) => model.boxes.length)) {
    const range = h("input", { type: "range", min: 0, max: 1, step: 0.01, value: least, id: "least" });
    const said = h("output", { for: "least" }, least.toFixed(2));
    range.addEventListener("input", () => {
      least = Number(range.value);
      said.textContent = least.toFixed(2);
      layers();
    });
    range.addEventListener("change", () => state.set({ least: least === counted ? null : least }));
    parts.push(h("label", { class: "chip", for: "least" }, "confidence ≥", range, said));
  }
  const maps = [...(sample.classes.length ? ["truth"] : []), ...sample.models.filter((model) => model.classes.length).map((model) => model.name)];
  for (const name of maps) {
    parts.push(
      toggle(name, "mask: ", map === name, (on) => {
        map = on ? name : "";
        picture();
        drawTools();
      }),
    );
  }
  for (const { name, stored } of sample.cams) {
    if (stored) parts.push(toggle(name, "looked at by ", cam === name, (on) => pickCam(on ? name : "")));
    else if (editable && !sample.broken) {
      parts.push(h("button", { type: "button", onclick: (/** @type {Event} */ event) => makeCam(name, /** @type {HTMLButtonElement} */ (event.currentTarget)) }, `Where does ${name} look?`));
    }
  }
  if (editable && !sample.broken) {
    parts.push(h("span", { class: "grow" }), h("button", { type: "button", id: "draw", "aria-pressed": String(viewer.drawing), title: "Then drag over the picture (b)", onclick: startDrawing }, "Draw a box"));
  }
  tools.replaceChildren(...parts.map((part) => part ?? ""));
}

/** @param {string} name */
function pickCam(name) {
  cam = name;
  state.set({ cam });
  picture();
  drawTools();
}

/** @param {string} name @param {HTMLButtonElement} button */
async function makeCam(name, button) {
  button.disabled = true;
  button.textContent = `${name} is looking …`;
  try {
    sample.cams = (await api("/api/sample/cam", { body: { id: sample.id, model: name } })).cams;
    pickCam(sample.cams.some((one) => one.name === name && one.stored) ? name : "");
  } catch (error) {
    failed(error);
    drawTools();
  }
}

function startDrawing() {
  viewer.drawing = !viewer.drawing;
  drawTools();
}

// The facts

/** @param {string} id @param {string[]} words */
function offered(id, words) {
  return h("datalist", { id }, ...words.map((word) => h("option", { value: word })));
}

const panels = {
  label: h("section", { class: "card" }),
  boxesHost: h("section", { class: "card" }),
  models: h("section", { class: "card" }),
  near: h("section", { class: "card" }),
  rest: h("section", { class: "card" }),
  history: h("section", { class: "card" }),
  boxes() {
    showBoxes();
  },
};
side.append(panels.label, panels.models, panels.boxesHost, panels.near, panels.history, panels.rest);

function showLabel() {
  const label = h("input", { id: "label", list: "labels", value: now.label ?? "", autocomplete: "off", placeholder: "no label" });
  label.disabled = !editable;
  label.addEventListener("keydown", (event) => {
    if (event.key === "Escape") label.value = now.label ?? "";
    if (["Escape", "Enter"].includes(event.key)) label.blur();
  });
  label.addEventListener("change", () => !isDrawing && decide({ label: label.value.trim() }));
  const tag = h("input", { id: "tag", size: 8, placeholder: "add a tag", autocomplete: "off" });
  tag.addEventListener("keydown", (event) => {
    if (event.key === "Escape") tag.blur();
    if (event.key === "Enter" && tag.value.trim()) {
      decide({ tag: [tag.value.trim()] });
      tag.value = "";
    }
  });
  const tags = now.tags.map((word) =>
    h("span", { class: "chip" }, word, editable && h("button", { type: "button", class: "quiet close", "aria-label": `Take the tag ${word} away`, onclick: () => decide({ untag: [word] }) }, "×")),
  );
  const several = severalLabels();
  const changed = now.label !== sample.label ? h("span", { class: "soft" }, `was ${sample.label ?? "none"}`) : null;
  const state = now.gone ? h("strong", { class: "FAIL" }, "to be deleted") : now.decided.some((edit) => edit.kind === "keep") ? h("strong", { class: "PASS" }, "to keep") : null;
  const buttons = editable
    ? h("div", { class: "row" }, h("button", { type: "button", onclick: () => decide({ keep: true }) }, h("kbd", null, "k"), "Keep"), h("button", { type: "button", class: "bad", onclick: () => decide({ delete: true }) }, h("kbd", null, "d"), "Delete"), state)
    : state;
  panels.label.replaceChildren(
    h("h2", { class: "id", dir: "auto" }, sample.id),
    commit && h("p", { class: "INCONCLUSIVE" }, `As it was at commit ${commit}. `, h("a", { href: url("/sample", { id: sample.id }) }, "As it is now")),
    h("div", { class: "row" }, h("label", { for: "label" }, "Label"), label, changed),
    several ?? "",
    h("div", { class: "row" }, h("label", { for: "tag" }, "Tags"), ...tags, editable && tag),
    buttons ?? "",
    offered("labels", known.labels),
    offered("several-labels", known.several),
    offered("box-labels", known.boxes),
  );
}

/** Return the labels of a sample that may have several, each with a way to take it away. */
function severalLabels() {
  if (!now.labels && !known.several.length) return null; // nobody gave several labels to any sample
  const labels = now.labels ?? [];
  const add = h("input", { id: "several", size: 10, list: "several-labels", placeholder: "add a label", autocomplete: "off" });
  add.addEventListener("keydown", (event) => {
    if (event.key === "Escape") add.blur();
    const word = add.value.trim();
    if (event.key !== "Enter" || !word) return;
    add.value = "";
    decide({ labels: [...labels, word] });
  });
  const chips = labels.map((word) =>
    h("span", { class: "chip" }, word, editable && h("button", { type: "button", class: "quiet close", "aria-label": `Take the label ${word} away`, onclick: () => decide({ labels: labels.filter((other) => other !== word) }) }, "×")),
  );
  const said = now.labels ? !labels.length && h("span", { class: "soft" }, "none of the classes") : h("span", { class: "soft" }, "never annotated");
  const none = editable && !now.labels && h("button", { type: "button", class: "quiet", onclick: () => decide({ labels: [] }) }, "It has none");
  const was = String(now.labels) !== String(sample.labels) && h("span", { class: "soft" }, `was ${sample.labels ? sample.labels.join(", ") || "none" : "never annotated"}`);
  return h("div", { class: "row", id: "several-row" }, h("label", { for: "several" }, "Labels"), ...chips, said, editable && add, none, was);
}

function showBoxes() {
  const rows = now.boxes.map((box, at) => {
    const number = at + 1;
    const name = h("input", { value: box.label, list: "box-labels", "aria-label": `Label of box ${number}`, autocomplete: "off", "data-box": number });
    name.disabled = !editable;
    name.addEventListener("focus", () => {
      if (viewer.chosen !== number) {
        viewer.chosen = number;
        viewer.draw();
        mark();
      }
    });
    name.addEventListener("change", () => {
      if (isDrawing) return;
      boxLabel = name.value.trim();
      if (boxLabel) decide({ set_box: { [number]: { label: boxLabel } } });
    });
    name.addEventListener("keydown", (event) => {
      if (event.key === "Escape") name.value = box.label;
      if (["Escape", "Enter"].includes(event.key)) name.blur();
    });
    const place = box.bbox.map((number) => Math.round(number)).join(", ");
    const remove = editable && h("button", { type: "button", class: "quiet", "aria-label": `Remove box ${number}`, onclick: () => removeBox(number) }, "×");
    return h("tr", { "data-row": number }, h("td", { class: "n" }, number), h("td", null, name), h("td", { class: "soft n" }, place), h("td", null, remove));
  });
  const head = h("tr", null, ...["", "label", "x, y, w, h", ""].map((name, at) => h("th", { scope: "col", class: at === 2 ? "n" : "" }, name)));
  const empty = editable ? "No boxes. Draw one: b, then drag over the picture." : "No boxes.";
  panels.boxesHost.replaceChildren(h("h2", null, `Boxes (${now.boxes.length})`), rows.length ? h("div", { class: "rows" }, h("table", { class: "boxes" }, h("thead", null, head), h("tbody", null, ...rows))) : h("p", { class: "soft" }, empty));
  mark();
}

function mark() {
  for (const row of panels.boxesHost.querySelectorAll("[data-row]")) {
    const here = row.getAttribute("data-row") === String(viewer.chosen);
    row.classList.toggle("chosen", here);
    if (here) row.scrollIntoView({ block: "nearest" });
  }
}

/** @param {number} number */
function removeBox(number) {
  viewer.chosen = null;
  decide({ remove_box: [number] });
}

function showModels() {
  const rows = sample.models.map((model, at) => {
    const sure = model.confidence === null || model.confidence === undefined ? "" : model.confidence.toFixed(3);
    const loss = model.loss === null || model.loss === undefined ? "" : model.loss.toPrecision(3);
    const right = model.correct === true ? h("span", { class: "PASS" }, "right") : model.correct === false ? h("span", { class: "FAIL" }, "wrong") : "";
    return h("tr", null, h("th", { scope: "row" }, h("span", { class: `swatch ${tone(at)}`, "aria-hidden": "true" }), " ", model.name), h("td", null, model.prediction ?? h("span", { class: "soft" }, "none"), " ", right), h("td", { class: "n" }, sure), h("td", { class: "n" }, loss));
  });
  const head = h("tr", null, ...["model", "prediction", "confidence", "loss"].map((name, at) => h("th", { scope: "col", class: at > 1 ? "n" : "" }, name)));
  panels.models.replaceChildren(h("h2", null, "Predictions"), rows.length ? h("div", { class: "wide" }, h("table", null, h("thead", null, head), h("tbody", null, ...rows))) : h("p", { class: "soft" }, ...prose("No model has predicted yet: `slicedb predict MODEL`.")));
}

function showHistory() {
  const rows = sample.edits.map((edit) => {
    const when = new Date(edit.at.endsWith("Z") ? edit.at : `${edit.at}Z`);
    const back = editable && ["pending", "done"].includes(edit.state) && h("button", { type: "button", class: "quiet", "aria-label": `Undo ${edit.what}`, onclick: () => bar.undo({ id: sample.id, number: edit.number }) }, "Undo");
    const why = edit.note ?? edit.reason;
    return h("tr", null, h("td", { class: "soft" }, when.toLocaleString([], { dateStyle: "short", timeStyle: "short" })), h("td", null, edit.author), h("td", null, edit.what, why && h("span", { class: "soft" }, ` ${why}`)), h("td", { class: "soft" }, edit.state), h("td", null, back));
  });
  panels.history.replaceChildren(h("h2", null, "History"), rows.length ? h("div", { class: "wide" }, h("table", null, h("tbody", null, ...rows))) : h("p", { class: "soft" }, "Nobody has edited this sample."));
}

function showRest() {
  const tabled = (/** @type {[string, string][]} */ facts) => {
    const rows = facts.map(([name, value]) => h("tr", null, h("th", { scope: "row" }, name), h("td", null, value)));
    return h("div", { class: "wide" }, h("table", { class: "meta" }, h("tbody", null, ...rows)));
  };
  const inside = sample.slices.map((name) => h("a", { class: "chip", href: explore(`in_slice('${name.replaceAll("'", "''")}')`, { commit }) }, name));
  panels.rest.replaceChildren(
    h("h2", null, "Slices"),
    h("div", { class: "row" }, ...(inside.length ? inside : [h("span", { class: "soft" }, "It is in no slice.")])),
    h("h2", { class: "next" }, "Metadata"),
    sample.facts.length ? tabled(sample.facts) : h("p", { class: "soft" }, "No column of yours has a value here."),
    h("details", null, h("summary", { class: "soft" }, "How it was ingested"), tabled(sample.ingested)),
    ...sample.notes.map((note) => h("p", { class: "soft" }, ...prose(note))),
  );
}

async function showNear() {
  panels.near.replaceChildren(h("h2", null, "Nearest"), h("div", { class: "strip waiting", "aria-busy": "true" }));
  try {
    const said = await api("/api/sample/near", { params: { id: sample.id, commit } });
    const shown = said.neighbours.map((/** @type {{id: string, label: string | null, distance: number}} */ one) =>
      h("a", { href: url("/sample", { id: one.id, commit }), title: `${one.id}, distance ${one.distance.toFixed(3)}` }, h("img", { src: url("/api/picture", { id: one.id, side: 96, commit }), alt: one.id, loading: "lazy" }), h("span", null, one.label ?? "")),
    );
    const all = h("a", { href: explore(`ORDER BY similarity(sample('${sample.id.replaceAll("'", "''")}')) DESC`, { commit }) }, "all in Explore");
    panels.near.replaceChildren(h("h2", null, "Nearest"), shown.length ? h("div", { class: "strip" }, ...shown) : "", shown.length ? all : "", ...said.notes.map((/** @type {string} */ note) => h("p", { class: "soft" }, ...prose(note))));
  } catch (error) {
    failed(error);
  }
}

/** Draw facts anew without taking the field away in which somebody writes. @param {() => void} draw */
function keepingFocus(draw) {
  const field = document.activeElement;
  const number = field?.getAttribute("data-box");
  const where = field instanceof HTMLInputElement && side.contains(field) ? (number ? `[data-box="${number}"]` : `#${field.id}`) : "";
  const text = where && /** @type {HTMLInputElement} */ (field).value;
  const isWritten = where && text !== /** @type {HTMLInputElement} */ (field).defaultValue;
  isDrawing = true;
  draw();
  isDrawing = false;
  const again = where ? side.querySelector(where) : null;
  if (!(again instanceof HTMLInputElement)) return;
  again.focus({ preventScroll: true });
  if (isWritten && text) {
    again.value = text;
    tellWhenLeft(again);
  }
}

/**
 * Tell of a text that was put into a new field for the reader: to the browser nobody typed it, and
 * no "change" comes when the field is left.
 * @param {HTMLInputElement} field
 */
function tellWhenLeft(field) {
  let isTold = false;
  field.addEventListener("change", () => (isTold = true));
  field.addEventListener("blur", () => {
    if (!isDrawing && !isTold && field.value !== field.defaultValue) field.dispatchEvent(new Event("change"));
  });
}

function show() {
  keepingFocus(showAll);
}

function showAll() {
  picture();
  layers();
  drawTools();
  showLabel();
  showBoxes();
  showModels();
  showHistory();
  showRest();
}

show();
showNear();
if (author() && author() !== sample.author) reload();
api("/api/sample/labels").then((said) => {
  known = said;
  keepingFocus(showLabel);
}, failed);

// Keys

/** @param {number} dx @param {number} dy @param {boolean} resize */
function nudge(dx, dy, resize) {
  const number = viewer.chosen;
  if (number === null) return;
  const start = viewer.box(number);
  const bbox = viewer.changed(resize ? "se" : "move", start, dx, dy);
  if (bbox.some((value, at) => value !== start[at])) decide({ set_box: { [number]: { bbox } } });
}

const chosen = () => editable && viewer.chosen !== null;
const can = () => editable;
/** @type {[string, number, number][]} */
const ARROWS = [
  ["ArrowLeft", -1, 0],
  ["ArrowRight", 1, 0],
  ["ArrowUp", 0, -1],
  ["ArrowDown", 0, 1],
];
for (const [key, dx, dy] of ARROWS) {
  keys.add({ key, does: "move the chosen box, with Shift resize it", where: chosen, run: (event) => nudge(dx, dy, event.shiftKey) });
}
const isFree = () => viewer.chosen === null;
for (const [key, step] of /** @type {[string, -1 | 1][]} */ ([["ArrowLeft", -1], ["[", -1], ["ArrowRight", 1], ["]", 1]])) {
  const does = step < 0 ? "the sample before, in the query it was opened from" : "the sample behind";
  const isBracket = key === "[" || key === "]";
  keys.add({ key, does, where: () => steps.can(step) && (isBracket || isFree()), run: () => steps.go(step) });
}
for (let digit = 1; digit <= 9; digit++) {
  keys.add({
    key: String(digit),
    does: "give the label (or the chosen box) the n-th most frequent label",
    where: () => editable && Boolean((viewer.chosen === null ? known.labels : known.boxes)[digit - 1]),
    run: () => {
      if (viewer.chosen === null) decide({ label: known.labels[digit - 1] });
      else decide({ set_box: { [viewer.chosen]: { label: known.boxes[digit - 1] } } });
    },
  });
}
keys.add(
  { key: "u", does: "take the last decision back", where: can, run: () => bar.undo() },
  { key: "k", does: "keep the sample as it is", where: can, run: () => decide({ keep: true }) },
  { key: "d", does: "delete the sample", where: () => editable && viewer.chosen === null, run: () => decide({ delete: true }) },
  { key: "b", does: "draw a box", where: can, run: startDrawing },
  { key: "r", does: "name the label, or that of the chosen box", where: can, run: () => rename() },
  { key: "t", does: "add a tag", where: can, run: () => by("tag").focus() },
  { key: "s", does: "add one of several labels", where: () => editable && Boolean(document.getElementById("several")), run: () => by("several").focus() },
  { key: "Delete", does: "remove the chosen box", where: chosen, run: () => removeBox(viewer.chosen ?? 0) },
  { key: "Backspace", does: "remove the chosen box", where: chosen, run: () => removeBox(viewer.chosen ?? 0) },
  { key: "n", does: "choose the next box", where: () => now.boxes.length > 0, run: () => viewer.choose(((viewer.chosen ?? 0) % now.boxes.length) + 1) },
  { key: "Escape", does: "choose nothing", run: () => (viewer.drawing || viewer.drag ? (viewer.cancel(), drawTools()) : viewer.choose(null)) },
);

function rename() {
  const field = viewer.chosen === null ? by("label") : panels.boxesHost.querySelector(`[data-box="${viewer.chosen}"]`);
  if (field instanceof HTMLInputElement) {
    field.focus();
    field.select();
  }
}
