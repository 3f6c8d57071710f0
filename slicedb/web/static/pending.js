// @ts-check
// The bar of pending decisions, and what Clean and Sample do with them.

import { api, by, dialog, failed, h, notice, role, url } from "./base.js";

/** @typedef {{sample: string, number: number, kind: string, what: string, label: string | null, state: string, author: string, mine: boolean, at: string, queue: string | null, reason: string | null, note: string | null}} Edit */
/** @typedef {{label: string, bbox: number[]}} Box */
/** @typedef {{label: string | null, labels: string[] | null, tags: string[], boxes: Box[], gone: boolean, decided: Edit[]}} Now */
/** @typedef {{author: string, n: number, kinds: Record<string, number>, others: number, last: Edit | null}} Pending */

const WORDS = /** @type {Record<string, string>} */ ({ edit: "to change", delete: "to delete", keep: "to keep", skip: "skipped" });
const NAME = "slicedb.author";

export const editable = role === "editor";

/** Whoever decides here, "" for whoever runs the server. */
export function author() {
  try {
    return localStorage.getItem(NAME) ?? "";
  } catch {
    return "";
  }
}

export class PendingBar {
  /**
   * @param {HTMLElement} host
   * @param {{changed: (said: any) => void, applied: () => void}} tell changed: after an undo, of the sample it was on
   */
  constructor(host, tell) {
    this.tell = tell;
    /** @type {Promise<any>} */
    this.last = Promise.resolve();
    this.count = h("span", { class: "count", role: "status", "aria-live": "polite" });
    this.name = h("input", { id: "author", maxlength: 60, size: 10, autocomplete: "nickname" });
    this.message = h("input", { id: "message", maxlength: 500, placeholder: "message of the commit", autocomplete: "off" });
    this.undoing = h("button", { type: "button", title: "Take the last decision back (u)", onclick: () => this.undo() }, "Undo");
    this.discarding = h("button", { type: "button", class: "bad", onclick: () => this.discard() }, "Discard all");
    this.listing = h("button", { type: "button", class: "quiet", onclick: () => this.list() }, "List");
    this.applying = h("button", { type: "submit", class: "main" }, "Commit");
    const form = h(
      "form",
      { class: "row" },
      h("label", { for: "author", class: "soft" }, "as"),
      this.name,
      h("label", { for: "message", class: "quietly" }, "Message of the commit"),
      this.message,
      this.applying,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.apply();
    });
    this.name.addEventListener("change", () => {
      try {
        localStorage.setItem(NAME, this.name.value.trim());
      } catch {
        notice("This browser keeps no name; it lasts as long as the page.");
      }
      this.refresh();
      this.tell.applied();
    });
    if (editable) host.append(this.count, this.undoing, this.listing, this.discarding, h("span", { class: "grow" }), form);
    else host.append(h("span", { class: "soft" }, "You may look, not change."));
    host.classList.add("pending");
    if (editable) this.refresh();
  }

  refresh() {
    return api("/api/edits", { params: { author: author() } }).then((said) => this.show(said), failed);
  }

  /** @param {Pending} pending */
  show(pending) {
    this.pending = pending;
    this.name.value = author() || pending.author;
    const kinds = Object.entries(pending.kinds).map(([kind, n]) => `${n.toLocaleString()} ${WORDS[kind] ?? kind}`);
    const others = pending.others ? ` · ${pending.others.toLocaleString()} of others` : "";
    this.count.textContent = pending.n ? `${pending.n.toLocaleString()} pending: ${kinds.join(", ")}${others}` : `Nothing pending${others}`;
    for (const button of [this.undoing, this.discarding, this.listing, this.applying]) button.disabled = !pending.n;
    this.message.disabled = !pending.n;
  }

  /**
   * Write decisions down, one after the other; resolves to what the server says, null when it refuses.
   * @param {string[]} ids
   * @param {Record<string, any>} what
   * @returns {Promise<any>}
   */
  decide(ids, what) {
    if (!editable) {
      notice("You may look, not change.");
      return Promise.resolve(null);
    }
    const asked = this.last.then(() => api("/api/decide", { body: { ids, author: author(), ...what } }));
    this.last = asked.catch(() => null);
    return asked.then(
      (said) => {
        this.show(said.pending);
        for (const note of said.notes) notice(note);
        return said;
      },
      (error) => {
        failed(error);
        return null;
      },
    );
  }

  /**
   * @param {{id?: string, number?: number, together?: string[]}} [which] together: samples of which
   *   all is taken back that was decided in the same queue
   */
  undo(which = {}) {
    if (!editable) return Promise.resolve(null);
    const asked = this.last.then(() => api("/api/undo", { body: { author: author(), ...which } }));
    this.last = asked.catch(() => null);
    return asked.then(
      (said) => {
        this.show(said.pending);
        notice(`Taken back: ${said.edit.what} (${said.sample})`);
        this.tell.changed(said);
        return said;
      },
      (error) => {
        failed(error);
        return null;
      },
    );
  }

  async apply() {
    const n = this.pending?.n ?? 0;
    if (!n) return;
    this.applying.disabled = true;
    try {
      await this.last;
      const said = await api("/api/apply", { body: { author: author(), message: this.message.value } });
      this.message.value = "";
      this.show(said.pending);
      notice(said.said, { kind: "good", seconds: 10 });
      if (said.refused.length) refused(said.refused);
      this.tell.applied();
    } catch (error) {
      failed(error);
      this.applying.disabled = false;
    }
  }

  discard() {
    const n = this.pending?.n ?? 0;
    const yes = h("button", { type: "button", class: "bad" }, `Discard ${n.toLocaleString()}`);
    const box = dialog("Discard all pending decisions?", h("p", null, "The samples stay as they are. The history lists what was discarded."), h("div", { class: "row" }, yes));
    yes.addEventListener("click", async () => {
      box.close();
      try {
        const said = await api("/api/discard", { body: { author: author() } });
        this.show(said.pending);
        notice(`${said.discarded.toLocaleString()} discarded`);
        this.tell.applied();
      } catch (error) {
        failed(error);
      }
    });
  }

  async list() {
    try {
      const said = await api("/api/edits", { params: { author: author(), all: true } });
      const body = h("tbody", null);
      const box = dialog("Pending decisions", h("div", { class: "wide" }, h("table", null, h("thead", null, h("tr", null, ...["sample", "decided", "queue", ""].map((name) => h("th", { scope: "col" }, name)))), body)));
      for (const edit of said.edits.reverse()) {
        const back = h("button", { type: "button", "aria-label": `Undo ${edit.what} of ${edit.sample}` }, "Undo");
        const row = h("tr", null, h("td", null, h("a", { href: url("/sample", { id: edit.sample }) }, edit.sample)), h("td", null, edit.what), h("td", { class: "soft" }, edit.queue), h("td", null, back));
        back.addEventListener("click", async () => {
          if (await this.undo({ id: edit.sample, number: edit.number })) row.remove();
          if (!body.children.length) box.close();
        });
        body.append(row);
      }
    } catch (error) {
      failed(error);
    }
  }
}

/** Say which decisions were refused, and why. @param {{sample: string, note: string}[]} rows */
function refused(rows) {
  const lines = rows.slice(0, 200).map((row) => h("tr", null, h("td", null, h("a", { href: url("/sample", { id: row.sample }) }, row.sample)), h("td", null, row.note)));
  const text = `${rows.length.toLocaleString()} of the decisions do not fit their samples any more and changed nothing.`;
  dialog("Refused", h("p", null, text), h("div", { class: "wide" }, h("table", null, h("tbody", null, ...lines))));
}

/** Return the bar at the foot of the page. */
export function foot() {
  return by("pending");
}
