// @ts-check
// Tests: filter the verdicts, open one to its worst samples, run a suite.

import { api, by, explore, failed, h, keys, role, state, url } from "./base.js";
import { bar, cancel, far, runs, start, watch, whole } from "./jobs.js";

/** @typedef {import("./jobs.js").Job} Job */

const WORST = 14;

/** The verdicts that are hidden. @type {Set<string>} */
const hidden = new Set();

/** @returns {HTMLElement[]} */
const rows = () => [...document.querySelectorAll(/** @type {"tbody"} */ ("tbody[data-test]"))];

// What is shown

function filter() {
  const search = document.querySelector(/** @type {"input"} */ ("#filter"));
  const text = search ? search.value.toLowerCase() : "";
  let n = 0;
  for (const row of rows()) {
    const is = !hidden.has(row.dataset.verdict ?? "") && (row.dataset.test ?? "").toLowerCase().includes(text);
    row.hidden = !is;
    n += Number(is);
  }
  const shown = document.getElementById("shown");
  if (shown) shown.textContent = n === rows().length ? "" : `${n} of ${rows().length} shown`;
}

/** @param {HTMLElement} row @param {boolean} is */
function open(row, is) {
  const button = row.querySelector("button.open");
  const more = row.querySelector(/** @type {"tr"} */ ("tr.more"));
  if (!button || !more) return;
  button.setAttribute("aria-expanded", String(is));
  more.hidden = !is;
  if (is) void worst(row);
}

/** Show the worst samples of a test. @param {HTMLElement} row */
async function worst(row) {
  const holder = row.querySelector(/** @type {"div"} */ (".worst"));
  if (!holder || holder.dataset.asked) return;
  holder.dataset.asked = "yes";
  const query = holder.dataset.query ?? "";
  try {
    const page = await api("/api/page", { params: { q: query, a: 0, b: WORST, columns: "label" } });
    const tiles = page.rows.map((/** @type {{id: string, label: string | null}} */ sample, /** @type {number} */ i) =>
      h(
        "a",
        { href: explore(query, { open: sample.id, at: i }), title: sample.id },
        h("img", { src: url("/api/picture", { id: sample.id, side: 160 }), alt: `${sample.id}, labelled ${sample.label ?? "nothing"}`, loading: "lazy" }),
        h("span", null, sample.label ?? sample.id),
      ),
    );
    const n = page.count;
    const said = n ? `${n.toLocaleString("en")} in all, the worst first` : "No sample speaks against it now.";
    holder.replaceChildren(...tiles);
    holder.before(h("p", { class: "soft" }, said));
  } catch (error) {
    delete holder.dataset.asked;
    failed(error);
  }
}

/** Let what the server rendered work. */
function wire() {
  for (const button of document.querySelectorAll(/** @type {"button"} */ ("button.verdict"))) {
    const verdict = button.dataset.verdict ?? "";
    button.setAttribute("aria-pressed", String(!hidden.has(verdict)));
    button.addEventListener("click", () => {
      if (!hidden.delete(verdict)) hidden.add(verdict);
      button.setAttribute("aria-pressed", String(!hidden.has(verdict)));
      state.set({ hide: [...hidden].join(",") }, { quiet: true });
      filter();
    });
  }
  for (const row of rows()) {
    row.querySelector("button.open")?.addEventListener("click", (event) => {
      const button = /** @type {HTMLElement} */ (event.currentTarget);
      const is = button.getAttribute("aria-expanded") !== "true";
      open(row, is);
      state.set({ test: is ? (row.dataset.test ?? "") : null }, { quiet: true });
    });
  }
  document.getElementById("filter")?.addEventListener("input", filter);
  restore();
}

/** Show what the address says. */
function restore() {
  const { hide, test } = state.get();
  hidden.clear();
  for (const verdict of (hide ?? "").split(",")) if (verdict) hidden.add(verdict);
  for (const button of document.querySelectorAll(/** @type {"button"} */ ("button.verdict")))
    button.setAttribute("aria-pressed", String(!hidden.has(button.dataset.verdict ?? "")));
  for (const row of rows()) if (row.dataset.test === test) open(row, true);
  filter();
}

// Running

/** Put the results of the server in place of those that are shown. */
async function refresh() {
  const response = await api("/tests", { raw: true });
  const made = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("results");
  if (!made) return;
  by("results").replaceWith(document.adoptNode(made));
  wire();
}

/** @param {Job} job */
function show(job) {
  const holder = by("running");
  const submit = document.querySelector(/** @type {"button"} */ ("#run button"));
  if (runs(job)) {
    if (submit) submit.disabled = true;
    const old = holder.querySelector("button");
    const stop = old ?? h("button", { type: "button", onclick: () => void cancel(job.id).catch(failed) }, "Cancel");
    stop.disabled = job.is_stopping || role !== "editor";
    holder.hidden = false;
    const head = h("div", { class: "row" }, h("b", null, job.title), h("span", { class: "soft" }, far(job)), h("span", { class: "grow" }));
    if (old) {
      // The button stays where it is, and with it the focus.
      const before = holder.querySelector(".row");
      const [title, text] = before ? [...before.children] : [];
      if (title && text) [title.textContent, text.textContent] = [job.title, far(job)];
      holder.querySelector("progress")?.replaceWith(bar(job));
    } else {
      head.append(stop);
      holder.replaceChildren(head, bar(job));
    }
    return;
  }
  if (holder.hidden) return;
  if (submit) submit.disabled = role !== "editor";
  void ended(job).catch(failed);
}

/** @param {Job} job */
async function ended(job) {
  const holder = by("running");
  const { result, message, hint } = await whole(job.id);
  if (job.state === "done") {
    await refresh();
    const { counts, warnings } = result;
    const parts = Object.entries(counts).filter(([, n]) => n);
    const words = parts.map(([verdict, n]) => h("b", { class: verdict }, `${n} ${verdict} `));
    holder.replaceChildren(
      h("p", null, `${job.title}: `, ...words, ` in ${job.seconds} s`),
      ...warnings.map((/** @type {string} */ text) => h("p", { class: "soft" }, text)),
    );
  } else holder.replaceChildren(h("p", null, h("b", { class: job.state === "failed" ? "FAIL" : "" }, `${job.title}: ${job.state}. `), message, " ", h("span", { class: "soft" }, hint)));
}

const form = /** @type {HTMLFormElement | null} */ (document.getElementById("run"));
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  const given = new FormData(form);
  const options = { suite: given.get("suite"), model: given.get("model"), baseline: given.get("baseline"), predict: given.has("predict") };
  by("running").replaceChildren();
  start("test", options).catch(failed);
});

watch((job) => {
  if (job.kind === "test") show(job);
});

state.on(restore);
wire();
keys.add({
  key: "/",
  does: "filter the tests",
  run: () => document.getElementById("filter")?.focus(),
});
