// @ts-check
// The dialog that gives a query a name; other pages open it with `nameQuery(text)`.

import { api, dialog, h, notice, prose, reason, url } from "./base.js";

const FILLERS = new Set(
  "and or not in is null true false like ilike between select from where order by limit asc desc group having case when then else end as on id samples split label".split(" "),
);
/** Characters of a name that is suggested. */
const LONG = 40;

/** Outlines of a map, which say nothing that a name could. */
const CORNERS = /\[[\s\d.,e+[\]-]*\]/gi;

/**
 * Return a name that a query suggests: its words and values, without what every query has.
 * @param {string} text
 */
export function suggested(text) {
  const words = text.replace(CORNERS, " ").toLowerCase().normalize("NFKD").match(/[a-z0-9]+/g) ?? [];
  const kept = [...new Set(words.filter((word) => !FILLERS.has(word)))];
  let name = "";
  for (const word of kept) {
    const longer = name ? `${name}_${word}` : word;
    if (longer.length > LONG) break;
    name = longer;
  }
  return /^[a-z]/.test(name) ? name : name ? `s_${name}` : "";
}

/**
 * Say an error in an element, or take it back.
 * @param {HTMLElement} place
 * @param {unknown} error
 */
export function tell(place, error) {
  place.hidden = !error;
  place.replaceChildren(...(error ? prose(reason(error)) : []));
}

/** @type {AbortController | undefined} */
let counting;

/**
 * Say how many samples a text finds, or what is wrong with it.
 * @param {HTMLElement} place
 * @param {string} text
 */
export async function count(place, text) {
  counting?.abort();
  counting = new AbortController();
  try {
    const found = await api("/api/count", { params: { q: text }, signal: counting.signal });
    place.textContent = `${found.count.toLocaleString("en")} ${found.count === 1 ? "sample" : "samples"}`;
    place.classList.remove("wrong");
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return;
    place.textContent = error instanceof Error ? error.message : String(error);
    place.classList.add("wrong");
  }
}

/**
 * Ask for a name of a query, and save it as a slice.
 * @param {string} text
 * @returns {Promise<{name: string, version: number} | null>} the slice, or null where nobody saved it
 */
export function nameQuery(text) {
  if (!document.querySelector("link[href$='/slices.css']")) {
    const own = /** @type {HTMLLinkElement | null} */ (document.querySelector("link[href$='/style.css']"));
    if (own) document.head.append(h("link", { rel: "stylesheet", href: own.href.replace(/style\.css$/, "slices.css") }));
  }
  const name = h("input", { id: "name-name", required: true, autocomplete: "off", spellcheck: "false", value: suggested(text) });
  const query = h("textarea", { id: "name-text", class: "code", rows: 2, spellcheck: "false" });
  query.value = text;
  const found = h("p", { class: "soft", role: "status" }, "Counting …");
  const description = h("input", { id: "name-description", autocomplete: "off" });
  const expect = h("textarea", { id: "name-expect", class: "code", rows: 2, spellcheck: "false", placeholder: "accuracy >= 0.8" });
  const holdout = h("input", { id: "name-holdout", autocomplete: "off", placeholder: "20%" });
  const wrong = h("p", { class: "wrong", role: "alert", hidden: true });
  const save = h("button", { class: "main" }, "Save slice");
  const replace = h("button", { type: "button", hidden: true }, "Save as a new version");
  const form = h(
    "form",
    { class: "naming" },
    h("label", { for: "name-name" }, "Name: letters, digits, underscores"),
    name,
    h("label", { for: "name-text" }, "Query"),
    query,
    found,
    h(
      "details",
      null,
      h("summary", null, "Description, expectations, holdout"),
      h("label", { for: "name-description" }, "What it is for"),
      description,
      h("label", { for: "name-expect" }, "Expectations, one a line"),
      expect,
      h("label", { for: "name-holdout" }, "Share that is never trained on"),
      holdout,
    ),
    wrong,
    h("div", { class: "row" }, save, replace),
  );
  const box = dialog("Name this query", form);
  name.focus();
  name.select();
  void count(found, text);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let pause;
  query.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(() => void count(found, query.value), 400);
  });

  return new Promise((resolve) => {
    /** @type {{name: string, version: number} | null} */
    let saved = null;
    box.addEventListener("close", () => resolve(saved));
    /** @param {string} path @param {object} body */
    const send = async (path, body) => {
      save.disabled = replace.disabled = true;
      try {
        const made = await api(path, { body });
        saved = made;
        box.close();
        const where = url("/slices", { name: made.name });
        const text = `Saved as ${made.name}${made.version > 1 ? `, version ${made.version}` : ""}.`;
        notice(text, { kind: "good", action: { title: "See it", run: () => location.assign(where) } });
      } catch (error) {
        tell(wrong, error);
        replace.hidden = !(error instanceof Error && /^There is a slice/.test(error.message));
        name.focus();
      } finally {
        save.disabled = replace.disabled = false;
      }
    };
    const named = () => ({ name: name.value.trim(), text: query.value, description: description.value, expect: expect.value });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void send("/api/slices", { ...named(), holdout: holdout.value.trim() });
    });
    replace.addEventListener("click", () => {
      const { name: to, text: changed, description: about, expect: lines } = named();
      void send("/api/slices/edit", { name: to, text: changed, ...(about && { description: about }), ...(lines.trim() && { expect: lines }) });
    });
  });
}
