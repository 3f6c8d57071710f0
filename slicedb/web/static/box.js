// @ts-check
// The query box: a plain text field that becomes an editor when it is used, its errors and its history.

import { api, ApiError, by, dialog, h, prose, sentence } from "./base.js";

/** @typedef {import("./editor.js").Editor} Editor */

const HISTORY = "slicedb.history";
/** Queries that the history keeps. */
const MOST = 100;
/** Milliseconds without typing after which a text is checked. */
const PAUSE = 600;

/** Return an index in UTF-16 units of one in characters: the server counts characters. @param {string} text @param {number} at */
function unit(text, at) {
  return [...text].slice(0, at).join("").length;
}

/** Return an index in characters of one in UTF-16 units. @param {string} text @param {number} at */
function character(text, at) {
  return [...text.slice(0, at)].length;
}

/**
 * Return the place that an error tells, in UTF-16 units of the text.
 * @param {string} text
 * @param {import("./base.js").Where | null} where
 */
function place(text, where) {
  if (!where) return null;
  const before = text.split("\n").slice(0, where.line - 1).join("\n").length + (where.line > 1 ? 1 : 0);
  const from = where.start ?? [...text.slice(0, before)].length + where.column - 1;
  const to = where.end ?? from + Math.max(1, [...(where.token ?? "")].length);
  return { start: unit(text, from), end: unit(text, to) };
}

/** @returns {string[]} the latest first */
function past() {
  try {
    const kept = JSON.parse(localStorage.getItem(HISTORY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((text) => typeof text === "string") : [];
  } catch {
    return []; // no storage, or someone else's
  }
}

/** @param {string} text */
function keep(text) {
  if (!text.trim()) return;
  const kept = [text, ...past().filter((other) => other !== text)].slice(0, MOST);
  try {
    localStorage.setItem(HISTORY, JSON.stringify(kept));
  } catch {
    // The history lasts as long as the page.
  }
}

export class Box {
  /**
   * @param {HTMLFormElement} form
   * @param {{onRun: (text: string) => void, onLeave: () => void, params: () => Record<string, string | undefined>}} listener
   *   params: what a text is checked with besides itself, such as the commit
   */
  constructor(form, listener) {
    this.listener = listener;
    this.field = /** @type {HTMLTextAreaElement} */ (by("text"));
    this.host = by("editor");
    this.told = by("wrong");
    /** @type {Editor | null} */
    this.editor = null;
    /** @type {Promise<void> | null} */
    this.loading = null;
    this.step = -1;
    this.draft = "";
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.pause = undefined;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#run(this.text);
    });
    this.field.addEventListener("focus", () => void this.load());
    this.field.addEventListener("input", () => this.#typed());
    this.field.addEventListener("keydown", (event) => this.#pressed(event));
    by("past").addEventListener("click", () => this.#list());
  }

  get text() {
    return this.editor ? this.editor.text : this.field.value;
  }

  /** @param {string} text */
  set text(text) {
    if (this.editor) this.editor.text = text;
    this.field.value = text;
    this.step = -1;
    this.#grow();
  }

  focus() {
    if (this.editor) this.editor.focus();
    else this.field.focus();
  }

  /** Say that a text ran: it goes into the history, and what was wrong is gone. @param {string} text */
  ran(text) {
    keep(text);
    this.wrong(null);
  }

  /** Say what is wrong, and where; null takes it back. @param {ApiError | null} error */
  wrong(error) {
    clearTimeout(this.pause);
    this.told.hidden = !error;
    this.told.replaceChildren();
    this.editor?.mark(null);
    if (!error) return;
    const { where, message, hint } = error;
    this.told.append(h("strong", null, message));
    if (hint) this.told.append(" ", ...prose(sentence(hint)));
    const text = this.text;
    const wrong = place(text, where);
    if (!wrong) return;
    const { start, end } = wrong;
    const [from, to] = [Math.max(0, start - 40), Math.min(text.length, end + 40)];
    const excerpt = [
      (from ? "… " : "") + text.slice(from, start),
      h("mark", null, text.slice(start, end) || " "),
      text.slice(end, to) + (to < text.length ? " …" : ""),
    ];
    this.told.append(h("code", { class: "excerpt" }, ...excerpt));
    this.editor?.mark(wrong);
  }

  /** Load the editor in place of the plain field, which it takes over as it is. */
  load() {
    this.loading ??= import("./editor.js").then(
      ({ Editor }) => {
        const { field } = this;
        const hadFocus = document.activeElement === field;
        this.host.hidden = false;
        this.editor = new Editor(this.host, {
          text: field.value,
          caret: field.selectionEnd,
          label: "Query",
          hint: field.placeholder,
          complete: (text, place, signal) => this.#offers(text, place, signal),
          run: (text) => this.#run(text),
          typed: () => this.#typed(),
          recall: (step) => this.#recall(step),
          leave: () => this.listener.onLeave(),
        });
        field.hidden = true;
        if (hadFocus) this.editor.focus();
      },
      () => {
        this.loading = null; // the plain field goes on, and the next focus tries again
      },
    );
    return this.loading;
  }

  /** Return what a text is checked with; values that it does not ask for are an error. @param {string} text */
  #with(text) {
    const { p, ...rest } = this.listener.params();
    return { ...rest, p: text.includes("$") ? p : "" };
  }

  /** @param {string} text */
  #run(text) {
    this.step = -1;
    this.field.value = text;
    clearTimeout(this.pause);
    this.listener.onRun(text);
  }

  #typed() {
    this.step = -1;
    this.#grow();
    this.told.hidden = true;
    this.editor?.mark(null);
    clearTimeout(this.pause);
    this.pause = setTimeout(() => void this.#check(), PAUSE);
  }

  /** Underline what is wrong while a person pauses; it is said when the text runs. */
  async #check() {
    const { text } = this;
    if (!text.trim() || !this.editor) return;
    try {
      const { errors } = await api("/api/check", { params: { ...this.#with(text), text } });
      const [first] = errors;
      if (text === this.text && first) this.editor.mark(place(text, first.line ? first : null));
    } catch {
      // Nothing depends on it.
    }
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#run(this.text);
    } else if (event.key === "Escape") this.listener.onLeave();
  }

  /** The plain field grows with its lines. */
  #grow() {
    this.field.rows = Math.min(8, this.field.value.split("\n").length);
  }

  /**
   * @param {string} text
   * @param {number} place
   * @param {AbortSignal} signal
   */
  async #offers(text, place, signal) {
    const params = { ...this.#with(text), text, place: character(text, place) };
    const found = await api("/api/complete", { params, signal });
    return { ...found, from: unit(text, found.from), to: unit(text, found.to) };
  }

  /** @param {-1 | 1} step towards earlier or later texts @returns {string | null} */
  #recall(step) {
    const kept = past();
    let next = this.step - step;
    if (this.step === -1 && kept[next] === this.text) next -= step; // what stands in the box is not news
    if (next < -1 || next >= kept.length) return null;
    if (this.step === -1) this.draft = this.text;
    this.step = next;
    return next === -1 ? this.draft : kept[next];
  }

  #list() {
    const kept = past();
    /** @param {string} text */
    const choose = (text) => {
      box.close();
      this.text = text;
      this.#run(text);
    };
    const rows = kept.map((text) => h("li", null, h("button", { type: "button", class: "quiet code", onclick: () => choose(text) }, text)));
    const clear = () => {
      localStorage.removeItem(HISTORY);
      box.close();
    };
    const box = kept.length
      ? dialog("Earlier queries", h("ol", { class: "history" }, ...rows), h("button", { type: "button", onclick: clear }, "Forget them"))
      : dialog("Earlier queries", h("p", { class: "soft" }, "Queries that you run are kept here, in this browser."));
  }
}
