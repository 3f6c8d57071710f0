// @ts-check
// Make maps: the first one by a click, others by a form.

import { dialog, failed, h } from "./base.js";
import { far, runs, start, watch } from "./jobs.js";

/** @typedef {{maps: {name: string, method: string, of: string, n: number, behind: number}[], embeddings: {name: string, n: number}[], samples: number, tsne: boolean}} About */

/**
 * Run a job, and wait for its end; the header says why it failed.
 * @param {string} kind
 * @param {Record<string, string>} options
 * @param {(text: string) => void} told what it does now
 * @returns {Promise<boolean>} whether it was done
 */
async function work(kind, options, told) {
  const { id } = await start(kind, options);
  return new Promise((ended) =>
    watch((job) => {
      if (job.id !== id) return;
      if (runs(job)) told(far(job));
      else ended(job.state === "done");
    }),
  );
}

/**
 * Make the first map by a click, and show it.
 * @param {HTMLButtonElement} button
 * @param {[string, Record<string, string>][]} jobs kind and options, one after the other
 */
export function first(button, jobs) {
  button.addEventListener("click", async () => {
    const title = button.textContent;
    button.disabled = true;
    try {
      let done = true;
      for (const [kind, options] of jobs) done &&= await work(kind, options, (text) => (button.textContent = text));
      if (done) location.reload();
    } catch (error) {
      failed(error);
    }
    button.disabled = false;
    button.textContent = title;
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
  const isTaken = (/** @type {string} */ taken) => about.maps.some((map) => map.name === taken && !map.behind);
  if (isTaken("pca") && about.tsne && !isTaken("tsne")) method.value = "tsne";
  for (const control of [of, method]) control.addEventListener("change", suggest);
  name.addEventListener("input", say);
  suggest();
  const form = h("form", { class: "form" }, h("label", null, "Embedding", of), h("label", null, "Method", method), h("label", null, "Name", name), known, h("div", { class: "row" }, told, go));
  dialog("Make a map", form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    const isThere = about.maps.some((each) => each.name === name.value);
    /** @type {Record<string, string>} */
    const options = isThere ? {} : { method: method.value, embedding: of.value };
    try {
      const done = await work("project", { ...options, name: name.value }, (text) => (told.textContent = text));
      if (done) made(name.value);
    } catch (error) {
      failed(error);
    }
    go.disabled = false;
    told.textContent = "";
  });
}
