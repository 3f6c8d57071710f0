// @ts-check
// Health: run a check as a job, show what it found; each finding opens as a query.

import { api, by, explore, failed, h, notice, prose, role, state, url } from "./base.js";
import { bar, cancel, far, runs, start, watch, whole } from "./jobs.js";

/** @typedef {import("./jobs.js").Job} Job */
/** @typedef {{name: string, n: number | null, about: string, query: string, state: string, link: string, token: string}} Found */

const SHOWN = 40;

/** The job whose findings are shown, by kind. @type {Map<string, string>} */
const shown = new Map();

/** @returns {HTMLElement[]} */
const checks = () => [...document.querySelectorAll(/** @type {"section"} */ ("section.check"))];

/** @param {HTMLElement} check @param {string} part */
const within = (check, part) => /** @type {HTMLElement} */ (check.querySelector(part));

/** @param {HTMLElement} check @param {Job} job */
function progress(check, job) {
  const holder = within(check, ".went");
  const submit = /** @type {HTMLButtonElement} */ (check.querySelector("form button"));
  if (!runs(job)) {
    if (role === "editor") submit.disabled = false;
    const words = job.state === "done" ? "" : `${job.state}: ${job.message} ${job.hint}`;
    holder.replaceChildren(...(words ? [h("p", { class: job.state === "failed" ? "FAIL" : "soft" }, ...prose(words))] : []));
    if (job.state === "done" && shown.get(job.kind) !== job.id) void show(check, job).catch(failed);
    return;
  }
  submit.disabled = true;
  const old = holder.querySelector("button");
  const stop = old ?? h("button", { type: "button", onclick: () => void cancel(job.id).catch(failed) }, "Cancel");
  stop.disabled = job.is_stopping || role !== "editor";
  const text = h("span", { class: "soft" }, far(job));
  if (old) {
    within(check, ".went span").replaceWith(text);
    within(check, ".went progress").replaceWith(bar(job));
  } else holder.replaceChildren(h("div", { class: "row" }, text, h("span", { class: "grow" }), stop), bar(job));
}

/** @param {HTMLElement} check @param {Job} job */
async function show(check, job) {
  shown.set(job.kind, job.id);
  const { result, title } = await whole(job.id);
  const all = /** @type {Found[]} */ (result.findings);
  const rows = all.slice(0, SHOWN).map((found) => row(found, check.dataset.kind ?? ""));
  const table = h(
    "table",
    null,
    h("caption", { class: "quietly" }, `What ${title} found`),
    h("thead", null, h("tr", null, h("th", null, "finding"), h("th", { class: "n" }, "n"), h("th", null, "what"), h("th", null, ""))),
    h("tbody", null, ...rows),
  );
  const inside = h("div", { class: "inside" });
  inside.innerHTML = result.html; // which our server rendered
  const parts = [
    h("p", null, h("span", { class: "pre" }, result.headline), h("span", { class: "soft" }, ` (${title}, ${job.seconds} s)`)),
    ...(rows.length ? [h("div", { class: "wide" }, table)] : [h("p", { class: "ok" }, "Nothing was found.")]),
    all.length > rows.length && h("p", { class: "soft" }, `${all.length - rows.length} more are in the figures.`),
    result.html && h("details", null, h("summary", null, "All figures"), inside),
  ];
  within(check, ".found").replaceChildren(...parts.filter((part) => part instanceof Node));
}

/** @param {Found} found @param {string} kind */
function row(found, kind) {
  const good = ["ok", "alike"].includes(found.state);
  const plain = ["-", "not confirmed"].includes(found.state);
  const kindOf = good ? "ok" : plain ? "soft" : "BAD";
  const name = h("th", { scope: "row" }, found.state && h("b", { class: kindOf }, `${found.state} `), found.name);
  const what = h("td", { class: "what" }, found.about, found.query && found.query !== found.name && h("code", { class: "query", title: found.query }, found.query));
  return h("tr", null, name, h("td", { class: "n" }, found.n === null ? "" : found.n.toLocaleString("en")), what, h("td", { class: "open" }, opens(found, kind)));
}

/** @param {Found} found @param {string} kind */
function opens(found, kind) {
  if (found.query) return h("a", { class: "button", href: explore(found.query), "aria-label": `Open ${found.name} in Explore` }, "Open");
  if (found.link.startsWith("/")) return h("a", { class: "button", href: url(found.link) }, "See");
  if (found.link) {
    const go = () => {
      by(found.link).scrollIntoView();
      /** @type {HTMLElement} */ (by(found.link).querySelector("button"))?.focus();
    };
    return h("button", { type: "button", onclick: go }, `See ${found.link}`);
  }
  if (!found.token || role !== "editor") return null;
  const tag = `${kind}_${found.name}`.replace(/\W+/g, "_");
  return h("button", { type: "button", title: "Too many to be named one by one: a tag names them", onclick: () => void tagged(found, tag).catch(failed) }, `Tag as ${tag}`);
}

/** Tag the samples of a finding, and say how to see them. @param {Found} found @param {string} tag */
async function tagged(found, tag) {
  const { n, query } = await api("/api/health/tag", { body: { token: found.token, tag } });
  const undo = () => void api("/api/health/tag", { body: { token: found.token, tag, remove: true } }).then(() => notice("The tag is gone."), failed);
  notice(`${n.toLocaleString("en")} samples are tagged '${tag}'.`, { kind: "good", seconds: 30, action: { title: "Undo", run: undo } });
  notice("They can be opened by their tag.", { seconds: 30, action: { title: "Open", run: () => (location.href = explore(query)) } });
}

for (const check of checks()) {
  const form = /** @type {HTMLFormElement} */ (check.querySelector("form"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(form));
    start(check.dataset.kind ?? "", given).catch(failed);
    state.set({ check: check.dataset.kind ?? "" }, { quiet: true });
  });
}

watch((job) => {
  const check = checks().find((each) => each.dataset.kind === job.kind);
  if (!check) return;
  // Of jobs that are over, the last one speaks.
  if (!runs(job) && check.dataset.began && Number(check.dataset.began) > job.began) return;
  check.dataset.began = String(job.began);
  progress(check, job);
});

const { check } = state.get();
if (check) document.getElementById(check)?.scrollIntoView();
