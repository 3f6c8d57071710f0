// @ts-check
// Clean: one item of a review queue after the other, decided by keyboard.

import { api, by, dialog, explore, failed, h, keys, notice, prose, state, url } from "./base.js";
import { PendingBar, author, editable, foot } from "./pending.js";
import { Viewer } from "./viewer.js";

/** @typedef {import("./pending.js").Now} Now */
/**
 * @typedef {{id: string, label: string | null, split?: string | null, width: number | null, height: number | null, bytes?: number | null,
 *   prediction?: string | null, confidence?: number | null, loss?: number | null, correct?: boolean | null, broken: string, now: Now | null,
 *   boxes?: Box[]}} Shown
 */
/** @typedef {import("./viewer.js").Box} Box */
/** @typedef {{samples: Shown[], reason: string, suggested: string | null, object: number | null, predicted: Box | null}} Item */

const WINDOW = 30;
const SIDE = 1024;
const review = by("review");

/** The items that are at hand, by their place. @type {Map<number, Item>} */
let items = new Map();
/** @type {{count: number, done: number, more: number, query: string, model: string | null, notes: string[], told: string[], at: number} | null} */
let queue = null;
/** @type {string[]} */
let labels = [];
let turn = 0; // answers of an earlier queue are dropped
let busy = false;

const bar = new PendingBar(foot(), {
  changed: (said) => {
    for (const item of items.values()) for (const shown of item.samples) if (said.samples[shown.id]) shown.now = said.samples[shown.id];
    const at = placeOf(said.sample);
    if (at === null) draw();
    else go(at);
  },
  applied: () => load(),
});

const name = () => state.get().queue ?? "";
const text = () => state.get().q ?? "";
const place = () => Math.max(0, Number(state.get().at ?? 0) || 0);
/** What decisions are kept under; those of one query apart from those of another. */
const queueName = () => (name() === "query" ? `query: ${text()}`.slice(0, 500) : name());
const isGroup = () => ["duplicates", "leaks"].includes(name());

/** @param {string} id */
function placeOf(id) {
  for (const [at, item] of items) if (item.samples.some((shown) => shown.id === id)) return at;
  return null;
}

// The queue

function load() {
  items = new Map();
  queue = null;
  turn += 1;
  for (const link of document.querySelectorAll("#queues a")) {
    if (link.getAttribute("data-queue") === name()) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  if (!name()) return welcome();
  ask(place());
}

/** @param {number} at */
async function ask(at) {
  const mine = turn;
  const a = Math.max(0, at - 5);
  try {
    const again = state.get().again ? true : undefined;
    const said = await api("/api/queue", { params: { name: name(), q: text(), a, b: a + WINDOW, author: author(), again } });
    if (mine !== turn) return;
    if (said.state === "unknown") return offer();
    if (said.state === "searching") {
      searching(said.progress);
      setTimeout(() => mine === turn && ask(at), 500);
      return;
    }
    queue = said;
    said.items.forEach((/** @type {Item} */ item, /** @type {number} */ i) => items.set(a + i, item));
    if (said.count && at >= said.count) return go(said.count - 1);
    draw();
  } catch (error) {
    if (mine !== turn) return;
    const why = error instanceof Error ? error.message : String(error);
    const hint = /** @type {any} */ (error).hint ?? "";
    review.replaceChildren(h("section", { class: "empty" }, h("h2", null, "This queue cannot be shown"), h("p", null, why), h("p", { class: "soft" }, ...prose(hint)), editable && h("button", { type: "button", onclick: () => find(true) }, "Try again")));
  }
}

function welcome() {
  const none = !document.querySelector("#queues a");
  review.replaceChildren(
    h("section", { class: "empty" }, h("h2", null, "Choose what to look through"), h("p", null, ...prose(none ? "There are no samples yet: `slicedb ingest photos/`." : "Each queue lists samples that deserve a look. Decisions change nothing until you commit them."))),
  );
}

function offer() {
  const link = document.querySelector(`#queues a[data-queue="${CSS.escape(name())}"]`);
  const about = link?.getAttribute("title") ?? "";
  const button = editable ? h("button", { type: "button", class: "main", onclick: () => find(false) }, "Find them") : h("p", { class: "soft" }, "Somebody who may edit has to look for them first.");
  review.replaceChildren(h("section", { class: "empty" }, h("h2", null, about), h("p", null, "Looking for them reads the whole data set; it may take a minute."), button));
  if (editable) button.focus();
}

/** @param {{stage: string, done: number, total: number | null, unit: string} | null} progress */
function searching(progress) {
  const far = progress ? { max: progress.total ?? 1, value: progress.total ? progress.done : null } : {};
  const said = progress ? `${progress.stage}: ${progress.done.toLocaleString()}${progress.total ? ` of ${progress.total.toLocaleString()}` : ""}` : "reading the data set";
  review.replaceChildren(h("section", { class: "empty", "aria-busy": "true" }, h("h2", null, "Looking …"), h("p", { class: "soft" }, said), h("progress", { "aria-label": "How far it is", ...far })));
}

/** @param {boolean} anew */
async function find(anew) {
  turn += 1;
  const mine = turn;
  searching(null);
  try {
    await api("/api/queue", { body: { name: name(), q: text(), anew } });
    if (mine === turn) ask(place());
  } catch (error) {
    failed(error);
    if (mine === turn) offer();
  }
}

/** @param {number} at */
function go(at) {
  const to = Math.max(0, at);
  state.set({ at: to || null }, { quiet: true });
  if (items.has(to)) {
    draw();
    if (!items.has(to + 8) && queue && to + 8 < queue.count) ask(to);
  } else ask(to);
}

// What is shown

const host = h("div", { class: "looking" });
const viewer = new Viewer(host);

function draw() {
  if (!queue) return;
  if (!queue.count) return finished();
  const at = Math.min(place(), queue.count - 1);
  const item = items.get(at);
  if (!item) return;
  const link = queue.query && h("a", { href: explore(queue.query) }, "as a query");
  const kept = queue.done ? h("span", { class: "soft" }, `${queue.done.toLocaleString()} done before`) : null;
  const more = queue.more ? h("span", { class: "soft" }, `the first ${queue.count.toLocaleString()}; ${queue.more.toLocaleString()} more come after them`) : null;
  const again = queue.done ? h("button", { type: "button", class: "quiet", onclick: () => (state.set({ again: state.get().again ? null : 1 }, { quiet: true }), load()) }, state.get().again ? "Leave them out" : "Show them") : null;
  const head = h(
    "header",
    { class: "row" },
    h("strong", null, `${(at + 1).toLocaleString()} of ${queue.count.toLocaleString()}`),
    h("progress", { max: queue.count, value: at + 1, "aria-label": "How far the queue is worked" }),
    kept,
    again,
    more,
    h("span", { class: "grow" }),
    isGroup() && editable && h("button", { type: "button", onclick: () => acceptAll() }, "All as suggested …"),
    link,
    editable && h("button", { type: "button", class: "quiet", title: `Found ${new Date(queue.at * 1000).toLocaleTimeString()}`, onclick: () => find(true) }, "Look again"),
  );
  const asked = name() === "query" ? h("p", { class: "code soft" }, text() || "all samples") : null;
  const told = queue.told.length ? h("p", { class: "soft told" }, queue.told.join(" ")) : null;
  const notes = queue.notes.map((note) => h("p", { class: "soft" }, ...prose(note)));
  const focused = review.contains(document.activeElement);
  review.replaceChildren(head, ...[asked, told].filter((one) => one !== null), item.samples.length > 1 || isGroup() ? group(item) : single(item), strip(at), ...notes);
  if (focused) review.focus({ preventScroll: true }); // what had the focus is gone
  if (item.samples.length === 1 && !isGroup()) look(item);
  ahead(at);
}

function finished() {
  const done = queue?.done ?? 0;
  review.replaceChildren(
    h("section", { class: "empty" }, h("h2", null, done ? "This queue is worked through" : "Nothing here needs a look"), h("p", null, done ? `${done.toLocaleString()} decided and applied.` : "Choose another queue."), editable && h("button", { type: "button", onclick: () => find(true) }, "Look again")),
  );
}

/** @param {Item} item */
function look(item) {
  const shown = item.samples[0];
  const src = url("/api/sample/picture", { id: shown.id, side: SIDE });
  viewer.show({ src, name: shown.id, width: shown.width, height: shown.height, broken: shown.broken });
  const truth = { name: "truth", tone: "truth", boxes: shown.now?.boxes ?? [] };
  // The box in question stands out, unless it was changed since it was found.
  const box = item.object === null ? null : truth.boxes[item.object - 1];
  const doubted = { name: "doubted", tone: "doubted", boxes: box ? [box] : [] };
  const instead = { name: "instead", tone: "doubted", boxes: item.predicted ? [{ label: "", bbox: item.predicted.bbox }] : [], dashed: true };
  viewer.set([truth, { name: queue?.model ?? "", tone: "tone-1", boxes: shown.boxes ?? [], dashed: true }, instead, doubted], null, 0);
}

/** What is decided of a sample, as a word. @param {Shown} shown */
function decided(shown) {
  const now = shown.now;
  const last = now?.decided.at(-1);
  if (!now || !last) return null;
  const [word, look] = now.gone ? ["to delete", "FAIL"] : last.kind === "keep" ? ["to keep", "PASS"] : last.kind === "skip" ? ["skipped", "soft"] : [last.what, "INCONCLUSIVE"];
  return h("strong", { class: look }, word);
}

/** @param {Item} item */
function single(item) {
  const shown = item.samples[0];
  const loss = shown.loss === null || shown.loss === undefined ? null : shown.loss.toPrecision(3);
  const sure = shown.confidence === null || shown.confidence === undefined ? "" : ` (${shown.confidence.toFixed(2)})`;
  /** @type {[string, any][]} */
  const facts = [
    ["label", shown.now?.label || !shown.now?.boxes.length ? h("strong", null, shown.now?.label ?? "none") : null],
    ["boxes", shown.now?.boxes.length || null],
    [queue?.model ?? "prediction", shown.prediction ? `${shown.prediction}${sure}` : null],
    ["loss", loss],
    ["split", shown.split],
    ["tags", shown.now?.tags.join(", ")],
    ["why", item.reason],
  ];
  const rows = facts.filter(([, value]) => value).map(([key, value]) => h("tr", null, h("th", { scope: "row" }, key), h("td", null, value)));
  const title = h("p", { class: "id", dir: "auto" }, h("a", { href: url("/sample", { id: shown.id }) }, shown.id));
  const state = h("p", { role: "status", class: "decided" }, decided(shown) ?? h("span", { class: "soft" }, "not decided"));
  return h("div", { class: "case" }, host, h("div", { class: "card stack" }, title, h("table", null, h("tbody", null, ...rows)), state, editable ? buttons(item) : null));
}

/** @param {string} key @param {string} title @param {() => void} run @param {string} [look] */
function button(key, title, run, look = "") {
  return h("button", { type: "button", class: look, onclick: run }, h("kbd", null, key), title);
}

/** @param {Item} item */
function buttons(item) {
  const field = h("input", { id: "relabel", list: "labels", placeholder: "another label", autocomplete: "off", "aria-label": "Another label" });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && field.value.trim()) {
      event.preventDefault();
      field.blur();
      act({ label: field.value.trim() });
    } else if (event.key === "Escape") field.blur();
  });
  const tag = h("input", { id: "tag", placeholder: "tag", size: 8, autocomplete: "off", "aria-label": "Tag" });
  tag.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && tag.value.trim()) {
      event.preventDefault();
      tag.blur();
      act({ tag: [tag.value.trim()] }, { stay: true });
    } else if (event.key === "Escape") tag.blur();
  });
  const suggested = item.suggested && item.suggested !== item.samples[0].now?.label ? item.suggested : null;
  const digits = labels.slice(0, 9).map((label, at) => button(String(at + 1), label, () => act({ label })));
  return h(
    "div",
    { class: "stack" },
    h("div", { class: "row" }, button("k", "Keep", () => act({ keep: true })), suggested && button("Enter", `It is ${suggested}`, () => act({ label: suggested }), "main"), button("d", "Delete", () => act({ delete: true }), "bad"), button("s", "Skip", () => act({ skip: true })), button("u", "Undo", () => undo()), button("o", "Edit it", () => open())),
    h("div", { class: "row digits" }, ...digits),
    h("div", { class: "fields" }, h("kbd", null, "r"), field, h("kbd", null, "t"), tag),
    h("datalist", { id: "labels" }, ...labels.map((label) => h("option", { value: label }))),
  );
}

/** @param {Item} item */
function group(item) {
  const cards = item.samples.map((shown, at) => {
    const size = shown.width && shown.height ? `${shown.width} × ${shown.height}` : "";
    const bytes = shown.bytes ? `${Math.round(shown.bytes / 1024).toLocaleString()} kB` : "";
    const picture = shown.broken ? h("p", { class: "broken" }, shown.broken) : h("img", { src: url("/api/picture", { id: shown.id, side: 512 }), alt: shown.id });
    const best = at === 0 ? h("span", { class: "chip PASS" }, "suggested") : null;
    const keep = editable && button(String(at + 1), "Keep this one", () => only(item, at));
    return h("article", { class: `card copy${at ? "" : " best"}` }, h("a", { href: url("/sample", { id: shown.id }), class: "shot" }, picture), h("p", { class: "id", dir: "auto" }, shown.id), h("p", null, h("strong", null, shown.now?.label ?? "no label"), " ", h("span", { class: "soft" }, [shown.split, size, bytes].filter(Boolean).join(" · ")), " ", best), h("p", { class: "decided", role: "status" }, decided(shown)), keep);
  });
  const acts = editable
    ? h("div", { class: "row" }, button("Enter", "As suggested", () => only(item, 0), "main"), button("k", "Keep all", () => act({ keep: true })), button("s", "Skip", () => act({ skip: true })), button("u", "Undo", () => undo()))
    : null;
  return h("div", { class: "stack" }, h("p", { class: "soft" }, item.reason), h("div", { class: "copies" }, ...cards), acts);
}

/** @param {number} at */
function strip(at) {
  const near = [];
  for (let i = at - 3; i <= at + 8; i++) {
    const item = items.get(i);
    if (!item) continue;
    const shown = item.samples[0];
    const last = shown.now?.decided.at(-1);
    const mark = shown.now?.gone ? "gone" : (last?.kind ?? "");
    const picture = shown.broken ? h("span", { class: "broken" }, "broken") : h("img", { src: url("/api/picture", { id: shown.id, side: 96 }), alt: "" });
    near.push(h("button", { type: "button", class: `quiet ${mark}`, "aria-current": i === at ? "true" : null, "aria-label": `Go to ${i + 1}: ${shown.id}`, onclick: () => go(i) }, picture));
  }
  return h("div", { class: "strip", role: "group", "aria-label": "Around it" }, ...near);
}

/** Fetch the next pictures before they are asked for. @param {number} at */
function ahead(at) {
  for (let i = at + 1; i <= at + 3; i++) {
    for (const shown of items.get(i)?.samples ?? []) {
      if (!shown.broken) new Image().src = isGroup() ? url("/api/picture", { id: shown.id, side: 512 }) : url("/api/sample/picture", { id: shown.id, side: SIDE });
    }
  }
}

// Deciding

/**
 * Decide on the item that is shown and go to the next.
 * @param {Record<string, any>} what
 * @param {{stay?: boolean, samples?: Shown[]}} [how]
 */
async function act(what, { stay = false, samples } = {}) {
  const at = place();
  const item = items.get(at);
  if (!item || busy) return;
  busy = true;
  const chosen = samples ?? item.samples;
  const reason = item.reason || null;
  const said = await bar.decide(chosen.map((shown) => shown.id), { ...what, queue: queueName(), reason });
  busy = false;
  if (!said) return;
  if (said.unchanged.length) notice("It is so already.");
  for (const shown of chosen) shown.now = said.samples[shown.id] ?? shown.now;
  if (!stay && queue && at + 1 < queue.count) go(at + 1);
  else draw();
}

/** Keep one of a group and delete the others. @param {Item} item @param {number} at */
async function only(item, at) {
  if (busy || at >= item.samples.length) return;
  const others = item.samples.filter((_, i) => i !== at);
  await act({ keep: true }, { stay: true, samples: [item.samples[at]] });
  await act({ delete: true }, { samples: others });
}

/** Open the sample, where its boxes are edited too. */
function open() {
  location.assign(url("/sample", { id: items.get(place())?.samples[0].id }));
}

/** Decide on all groups that are left as suggested, after a question. */
function acceptAll() {
  const yes = h("button", { type: "button", class: "main" }, "Decide");
  const text = "Of every group on which you have not decided, the suggested picture is kept and the others are to be deleted. Groups whose labels differ are left to you. Nothing changes before you commit.";
  const box = dialog("Decide on all groups as suggested?", h("p", null, text), h("div", { class: "row" }, yes));
  yes.addEventListener("click", async () => {
    box.close();
    try {
      const said = await api("/api/queue/accept", { body: { name: name(), author: author() } });
      bar.show(said.pending);
      const left = said.left ? `; ${said.left.toLocaleString()} with different labels are left` : "";
      notice(`${said.groups.toLocaleString()} groups: ${said.deleted.toLocaleString()} samples to delete${left}`, { kind: "good", seconds: 10 });
      load();
    } catch (error) {
      failed(error);
    }
  });
}

/** Take the last decision back, of a group all that was decided of it. */
function undo() {
  const at = isGroup() ? placeOf(bar.pending?.last?.sample ?? "") : null;
  const together = at === null ? undefined : items.get(at)?.samples.map((one) => one.id);
  return bar.undo({ together });
}

// Keys

const shown = () => editable && queue !== null && items.has(place());
const idle = () => [document.body, review, by("main")].includes(/** @type {HTMLElement} */ (document.activeElement));
const alone = () => shown() && !isGroup();
keys.add(
  { key: "ArrowRight", does: "the next one", run: () => step(1) },
  { key: "ArrowLeft", does: "the one before", run: () => step(-1) },
  { key: "l", does: "the next one", run: () => step(1) },
  { key: "h", does: "the one before", run: () => step(-1) },
  { key: "k", does: "keep", where: shown, run: () => act({ keep: true }) },
  { key: "d", does: "delete", where: alone, run: () => act({ delete: true }) },
  { key: "s", does: "skip, and decide another time", where: shown, run: () => act({ skip: true }) },
  { key: "u", does: "take the last decision back", where: () => editable, run: () => undo() },
  { key: "r", does: "name another label", where: alone, run: () => by("relabel").focus() },
  { key: "t", does: "add a tag", where: alone, run: () => by("tag").focus() },
  { key: "o", does: "open the sample", where: () => items.has(place()), run: () => open() },
  { key: "Enter", does: "do as suggested", where: () => shown() && idle(), run: () => suggestion() },
);
for (let digit = 1; digit <= 9; digit++) {
  keys.add({
    key: String(digit),
    does: "give the n-th label, or keep the n-th of a group",
    where: shown,
    run: () => {
      const item = items.get(place());
      if (item && isGroup()) only(item, digit - 1);
      else if (labels[digit - 1]) act({ label: labels[digit - 1] });
    },
  });
}

function suggestion() {
  const item = items.get(place());
  if (!item) return;
  if (isGroup()) only(item, 0);
  else if (item.suggested && item.suggested !== item.samples[0].now?.label) act({ label: item.suggested });
}

/** @param {number} by */
function step(by) {
  if (queue) go(Math.min(Math.max(0, place() + by), queue.count - 1));
}

by("queues").addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[data-queue]") : null;
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  state.set({ queue: link.getAttribute("data-queue"), at: null, q: null, again: null }, { push: true });
  review.focus({ preventScroll: true });
});
state.on(() => load());

load();
api("/api/sample/labels").then((said) => {
  labels = said.labels;
  draw();
}, failed);
