// @ts-check
// The list of slices, and one slice: its query is edited in place, frozen, compared, calibrated.

import { api, by, data, explore, failed, h, notice, role, url } from "./base.js";
import { count, nameQuery, tell } from "./naming.js";

/** @typedef {{name: string, version: number, text: string, kind: string, query: string, state: string, description: string, expect: string[], newest: boolean}} One */
/** @typedef {{id: string, reason: string, detail: string}} Moved */

const DONE = "slicedb.done";

/** @param {number} n @param {string} [noun] */
function counted(n, noun) {
  const text = n.toLocaleString("en");
  return noun ? `${text} ${noun}${n === 1 ? "" : "s"}` : text;
}

/**
 * Go to a slice and say there what was done, with a way back.
 * @param {string} text
 * @param {string} undo `name@version` that is restored; "" where there is no way back
 * @param {string} [name] of the slice to show; without it the list
 */
function reload(text, undo, name) {
  try {
    sessionStorage.setItem(DONE, JSON.stringify({ text, undo }));
  } catch {
    // It is done all the same.
  }
  location.assign(url("/slices", name ? { name } : {}));
}

/** Say what was done before the page was loaded. */
function done() {
  let said;
  try {
    said = JSON.parse(sessionStorage.getItem(DONE) ?? "null");
    sessionStorage.removeItem(DONE);
  } catch {
    return;
  }
  if (!said) return;
  const restore = async () => {
    try {
      const back = await api("/api/slices/restore", { body: { name: said.undo } });
      reload(`${back.name} is as it was, as version ${back.version}.`, "", back.name);
    } catch (error) {
      failed(error);
    }
  };
  notice(said.text, { kind: "good", seconds: 12, action: said.undo ? { title: "Undo", run: () => void restore() } : undefined });
}

// The list

function list() {
  const filter = /** @type {HTMLInputElement | null} */ (document.getElementById("filter"));
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("#slices tbody tr")]);
  filter?.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits = words.every((word) => (row.dataset.text ?? "").includes(word));
      row.hidden = !fits;
      shown += Number(fits);
    }
    by("shown").textContent = words.length ? `${counted(shown)} of ${counted(rows.length, "slice")}` : counted(rows.length, "slice");
    by("none").hidden = shown > 0;
  });
  document.getElementById("new")?.addEventListener("click", async () => {
    const made = await nameQuery("");
    if (made) location.assign(url("/slices", { name: made.name }));
  });
  const fold = /** @type {HTMLDetailsElement | null} */ (document.getElementById("overlap"));
  fold?.addEventListener("toggle", () => void overlap(), { once: true });
}

async function overlap() {
  const inside = by("overlap-inside");
  try {
    const found = await api("/api/slices/overlap");
    const pairs = found.pairs.map(
      (/** @type {{a: string, b: string, shared: number, jaccard: number, a_in_b: number, b_in_a: number, query: string}} */ pair) =>
        h(
          "tr",
          null,
          h("th", { scope: "row" }, h("a", { href: url("/slices", { name: pair.a }) }, pair.a)),
          h("td", null, h("a", { href: url("/slices", { name: pair.b }) }, pair.b)),
          h("td", { class: "n" }, h("a", { href: explore(pair.query) }, counted(pair.shared))),
          h("td", { class: "n" }, pair.jaccard.toFixed(3)),
          h("td", { class: "n" }, percent(pair.a_in_b)),
          h("td", { class: "n" }, percent(pair.b_in_a)),
        ),
    );
    const heat = h("div");
    heat.innerHTML = found.html; // rendered and escaped by show/
    titled(heat);
    const heads = ["a", "b", "shared", "Jaccard", "a in b", "b in a"];
    const head = heads.map((text, at) => h("th", { scope: "col", class: at > 1 ? "n" : null }, text));
    inside.replaceChildren(
      heat,
      found.pairs.length
        ? h("div", { class: "wide" }, h("table", null, h("thead", null, h("tr", null, ...head)), h("tbody", null, ...pairs)))
        : h("p", { class: "soft" }, "No two slices share a sample."),
    );
  } catch (error) {
    failed(error);
  }
}

/** @param {number | null} share */
function percent(share) {
  return share === null ? "–" : `${(100 * share).toFixed(1)}%`;
}

/** Let tips of cells show as titles. @param {HTMLElement} inside */
export function titled(inside) {
  for (const cell of inside.querySelectorAll("[data-tip]")) cell.setAttribute("title", cell.getAttribute("data-tip") ?? "");
}

// One slice

/** @param {One} one */
function slice(one) {
  by("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(one.text);
      notice("The query is copied.");
    } catch {
      getSelection()?.selectAllChildren(/** @type {HTMLElement} */ (document.querySelector("pre.text")));
      notice("The query is selected: copy it.");
    }
  });
  act("freeze", one, "is frozen: it keeps the members it has now.");
  act("thaw", one, "is live again: its text is asked at each use.");
  act("drop", one, "is dropped.");
  act("restore", one, "is the newest version again.");
  document.getElementById("edit")?.addEventListener("click", () => edit(one));
  document.getElementById("calibrate")?.addEventListener("click", () => void calibrate(one));
  for (const button of document.querySelectorAll("[data-compare]")) {
    button.addEventListener("click", () => {
      by("diff").hidden = false;
      by("diff-head").textContent = "What changed between two versions";
      void diff(/** @type {HTMLElement} */ (button).dataset.compare ?? "", `${one.name}@${one.version}`);
      by("diff").scrollIntoView({ block: "nearest" });
    });
  }
  if (!by("diff").hidden && one.newest) void diff(one.name, "");
  else by("diff").hidden = true;
}

/** @param {string} verb @param {One} one @param {string} said */
function act(verb, one, said) {
  const button = /** @type {HTMLButtonElement | null} */ (document.getElementById(verb));
  button?.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const name = verb === "restore" ? `${one.name}@${one.version}` : one.name;
      const told = await api(`/api/slices/${verb}`, { body: { name } });
      reload(`${one.name} ${said}`, told.undo, verb === "drop" ? undefined : one.name);
    } catch (error) {
      button.disabled = false;
      failed(error);
    }
  });
}

/** @param {One} one */
function edit(one) {
  const form = /** @type {HTMLFormElement} */ (by("editing"));
  const text = /** @type {HTMLTextAreaElement} */ (by("edit-text"));
  const about = /** @type {HTMLInputElement} */ (by("edit-description"));
  const expect = /** @type {HTMLTextAreaElement} */ (by("edit-expect"));
  const wrong = by("edit-wrong");
  const show = (/** @type {boolean} */ editing) => {
    form.hidden = !editing;
    by("shown").hidden = editing;
    by("edit").hidden = editing;
  };
  text.value = one.text;
  about.value = one.description;
  expect.value = one.expect.join("\n");
  text.rows = Math.min(14, Math.max(3, one.text.split("\n").length + 1));
  show(true);
  text.focus();
  void count(by("edit-count"), one.text);
  if (form.dataset.ready) return;
  form.dataset.ready = "yes";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let pause;
  text.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(() => void count(by("edit-count"), text.value), 400);
  });
  const leave = () => {
    show(false);
    by("edit").focus();
  };
  by("edit-cancel").addEventListener("click", leave);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leave();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    tell(wrong, null);
    try {
      const body = { name: one.name, version: one.version, text: text.value, description: about.value, expect: expect.value };
      const told = await api("/api/slices/edit", { body });
      reload(`${told.name} is saved as version ${told.version}.`, told.undo, told.name);
    } catch (error) {
      tell(wrong, error);
    }
  });
}

/** @param {string} a @param {string} b */
async function diff(a, b) {
  const inside = by("diff-inside");
  try {
    const found = await api("/api/slices/diff", { params: { a, b } });
    const reasons = found.reasons.map((/** @type {{reason: string, come: number, gone: number}} */ row) =>
      h("tr", null, h("th", { scope: "row" }, row.reason), h("td", { class: "n" }, `+${counted(row.come)}`), h("td", { class: "n" }, `−${counted(row.gone)}`)),
    );
    inside.replaceChildren(
      h("p", null, `${found.old} → ${found.new}: `, h("b", null, `+${counted(found.n_come)} −${counted(found.n_gone)}`), `, ${counted(found.kept)} kept`),
    );
    if (!reasons.length) {
      inside.append(h("p", { class: "soft" }, "The same samples on both sides."));
      return;
    }
    const deleted = found.reasons.find((/** @type {{reason: string, gone: number}} */ row) => row.reason === "deleted")?.gone ?? 0;
    const heads = ["reason", "came", "went"].map((text, at) => h("th", { scope: "col", class: at ? "n" : null }, text));
    inside.append(
      h("table", null, h("thead", null, h("tr", null, ...heads)), h("tbody", null, ...reasons)),
      h("div", { class: "moved" }, moved("Came", found.come, found.n_come, found.come_query), moved("Went", found.gone, found.n_gone, found.gone_query, deleted)),
    );
  } catch (error) {
    inside.replaceChildren(h("p", { class: "wrong" }, error instanceof Error ? error.message : String(error)));
  }
}

/** @param {string} title @param {Moved[]} rows @param {number} n @param {string} query @param {number} [deleted] of them are no more */
function moved(title, rows, n, query, deleted = 0) {
  const head = h("h3", null, `${title}: ${counted(n, "sample")} `, query && n > deleted ? h("a", { href: explore(query) }, "open as a query") : null);
  const lines = rows.map((row) =>
    h(
      "tr",
      null,
      h("td", { dir: "auto" }, row.reason === "deleted" ? row.id : h("a", { href: url("/sample", { id: row.id }) }, row.id)),
      h("td", { dir: "auto" }, row.reason, row.detail ? `: ${row.detail}` : ""),
    ),
  );
  const more = n > rows.length ? h("p", { class: "soft" }, `${counted(n - rows.length)} more in the query`) : null;
  return h("div", null, head, h("div", { class: "list", tabindex: 0, role: "group", "aria-label": title }, h("table", null, h("tbody", null, ...lines))), more);
}

// Calibration

/** @typedef {{value: number, low: number, high: number}} Share */

/** @param {One} one */
async function calibrate(one) {
  const { Asking } = await import("./asking.js");
  by("calibrate").hidden = true;
  const asking = new Asking(by("calibrating"), one.name, (told) => reload(`${told.name} is calibrated, as version ${told.version}.`, told.undo, told.name));
  await asking.start();
}

const one = /** @type {One | null} */ (data());
if (one) slice(one);
else list();
if (role === "editor") done();
