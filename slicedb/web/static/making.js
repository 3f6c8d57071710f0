// @ts-check
// Make maps and name queries: the forms of the map that write.

import { api, ApiError, dialog, failed, h, notice, url } from "./base.js";

/** @typedef {{maps: {name: string, method: string, of: string, n: number, behind: number}[], embeddings: {name: string, n: number}[], samples: number, tsne: boolean}} About */

const POLL = 500;

/**
 * Run a job, and wait for its end.
 * @param {Record<string, unknown>} what kind and arguments
 * @param {(text: string) => void} told what it does now
 * @throws {ApiError} it failed or was cancelled
 */
export async function work(what, told) {
  const { id } = await api("/api/jobs", { body: what });
  for (;;) {
    const job = await api(`/api/jobs/${id}`);
    if (job.state === "done") return job.result;
    if (job.state !== "running" && job.state !== "waiting") throw new ApiError(400, { message: job.message || `The job was ${job.state}.` });
    told([job.stage, job.total ? `${job.done.toLocaleString("en")} of ${job.total.toLocaleString("en")} ${job.unit ?? ""}` : ""].filter(Boolean).join(": "));
    await new Promise((later) => setTimeout(later, POLL));
  }
}

/**
 * Make the first map by a click, and show it.
 * @param {HTMLButtonElement} button
 * @param {Record<string, unknown>[]} jobs one after the other
 */
export function first(button, jobs) {
  button.addEventListener("click", async () => {
    const title = button.textContent;
    button.disabled = true;
    try {
      for (const job of jobs) await work(job, (text) => (button.textContent = text || "Working …"));
      location.reload();
    } catch (error) {
      button.disabled = false;
      button.textContent = title;
      failed(error);
    }
  });
}

/**
 * Ask what map to make, and make it.
 * @param {About} about
 * @param {(name: string) => void} made
 */
export function another(about, made) {
  const of = h("select", null, ...about.embeddings.map(({ name, n }) => h("option", { value: name }, `${name} (${n.toLocaleString("en")})`)));
  const method = h(
    "select",
    null,
    h("option", { value: "pca" }, "PCA: at once, axes of most variance"),
    h("option", { value: "tsne", disabled: !about.tsne }, about.tsne ? "t-SNE: minutes, neighbourhoods" : "t-SNE: needs pip install 'slicedb[maps]'"),
  );
  const name = h("input", { required: true, value: "pca", pattern: "[A-Za-z0-9_][A-Za-z0-9_\\-]*", autocomplete: "off" });
  const known = h("p", { class: "soft" });
  const told = h("output", { class: "soft", "aria-live": "polite" });
  const go = h("button", { class: "main" }, "Make");
  const say = () => {
    const map = about.maps.find((each) => each.name === name.value);
    go.textContent = map ? "Place new samples" : "Make";
    known.textContent = map ? `'${map.name}' is there (${map.method} of ${map.of}): what has no point yet is placed, and no other point moves.` : "New samples get a point later without moving the others.";
  };
  const suggest = () => {
    name.value = about.embeddings.length > 1 ? `${method.value}_${of.value}` : method.value;
    say();
  };
  for (const control of [of, method]) control.addEventListener("change", suggest);
  name.addEventListener("input", say);
  suggest();
  const form = h("form", { class: "form" }, h("label", null, "Embedding", of), h("label", null, "Method", method), h("label", null, "Name", name), known, h("div", { class: "row" }, told, go));
  const box = dialog("Make a map", form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    const isThere = about.maps.some((each) => each.name === name.value);
    const job = isThere ? { kind: "project", name: name.value } : { kind: "project", name: name.value, method: method.value, embedding: of.value };
    try {
      await work(job, (text) => (told.textContent = text));
      box.close();
      made(name.value);
    } catch (error) {
      go.disabled = false;
      told.textContent = "";
      failed(error);
    }
  });
}

/**
 * Name a query: it becomes a slice.
 * @param {string} text
 */
export function nameQuery(text) {
  const name = h("input", { required: true, autocomplete: "off", placeholder: "night_mugs" });
  const expect = h("input", { class: "code", autocomplete: "off", placeholder: "accuracy >= 0.8" });
  const go = h("button", { class: "main" }, "Name it");
  const form = h("form", { class: "form" }, h("label", null, "Name of the slice", name), h("label", null, "What a model must reach on it (may stay empty)", expect), h("pre", { class: "soft asked-text" }, text || "every sample"), h("div", { class: "row" }, go));
  const box = dialog("Name this query", form);
  name.focus();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    try {
      const body = { name: name.value.trim(), text, expect: expect.value.trim() ? [expect.value.trim()] : [] };
      const slice = await api("/api/slices", { body });
      box.close();
      const n = Number(slice.count).toLocaleString("en");
      const open = () => (location.href = url("/slices", { name: slice.name }));
      notice(`'${slice.name}' is a slice of ${n} samples.`, { kind: "good", action: { title: "Open", run: open }, seconds: 10 });
    } catch (error) {
      go.disabled = false;
      failed(error);
    }
  });
}
