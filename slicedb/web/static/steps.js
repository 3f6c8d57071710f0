// @ts-check
// The way through the samples of the query that a sample was opened from.

import { api, failed, h, state, url } from "./base.js";

/**
 * @typedef {object} Given
 * @property {string} id the sample
 * @property {() => Promise<unknown>} saved what has to be written down before the page is left
 * @property {(id: string) => string} picture the address of a sample's picture
 */
/** @typedef {{count: number, at: number | null, is_in: boolean, before: string | null, behind: string | null, before_at: number, behind_at: number}} Around */

export class Steps {
  /** @param {Given} given */
  constructor(given) {
    this.given = given;
    this.element = h("nav", { class: "steps row", "aria-label": "Samples of the query", hidden: true });
    /** @type {Around | null} */
    this.around = null;
    const { at, q } = state.get();
    if (at !== undefined || q !== undefined) void this.#find();
  }

  /** The query, as addresses have it. */
  get #asked() {
    const { q = "", sort = "", commit = "", p = "" } = state.get();
    return { q: q || undefined, sort: sort || undefined, commit: commit || undefined, p: q.includes("$") && p ? p : undefined };
  }

  async #find() {
    this.element.hidden = false;
    try {
      this.around = await api("/api/sample/around", { params: { ...this.#asked, id: this.given.id, at: state.get().at } });
    } catch (error) {
      failed(error);
      return;
    }
    this.#show();
    const next = this.around?.behind;
    if (next) new Image().src = this.given.picture(next);
  }

  #show() {
    if (!this.around) return;
    const { count, at, is_in: isIn } = this.around;
    const { q, ...rest } = this.#asked;
    const place = at === null ? "" : isIn ? `${(at + 1).toLocaleString("en")} of ` : "no longer among the ";
    const back = h("a", { href: url("/", { q, ...rest, at: at || undefined, open: isIn ? this.given.id : undefined }), title: "Show them in Explore" }, q || "all samples");
    this.element.replaceChildren(
      this.#link(-1, "\u2039", "The sample before ([)"),
      h("span", { class: "soft", role: "status" }, `${place}${count.toLocaleString("en")}`),
      h("span", { class: "code asked", dir: "auto" }, back),
      this.#link(1, "\u203a", "The sample behind (])"),
    );
  }

  /** @param {-1 | 1} step @param {string} sign @param {string} name */
  #link(step, sign, name) {
    const to = this.#address(step);
    if (!to) return h("span", { class: "step soft", "aria-hidden": "true" }, sign);
    const link = h("a", { class: "step", href: to, "aria-label": name, title: name }, sign);
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      void this.go(step);
    });
    return link;
  }

  /** Return the address of a neighbour, with all that this page shows. @param {-1 | 1} step */
  #address(step) {
    if (!this.around) return null;
    const id = step < 0 ? this.around.before : this.around.behind;
    const at = step < 0 ? this.around.before_at : this.around.behind_at;
    return id === null ? null : url("/sample", { ...state.get(), id, at });
  }

  /** @param {-1 | 1} step */
  can(step) {
    return this.#address(step) !== null;
  }

  /** Go to a neighbour. Back then leads to where the walk began. @param {-1 | 1} step */
  async go(step) {
    const to = this.#address(step);
    if (!to) return;
    const field = document.activeElement;
    if (field instanceof HTMLElement) field.blur(); // what was being written is told now
    await this.given.saved();
    location.replace(to);
  }
}
