// @ts-check
/**
 * A query box with highlighting, completion and a marked error: CodeMirror in a shadow root, where its
 * styles are adopted style sheets, which a strict content security policy allows.
 */
import {
  acceptCompletion,
  autocompletion,
  bracketMatching,
  closeBrackets,
  closeBracketsKeymap,
  closeCompletion,
  completionKeymap,
  completionStatus,
  Decoration,
  defaultKeymap,
  EditorState,
  EditorView,
  HighlightStyle,
  history,
  historyKeymap,
  keymap,
  moveCompletionSelection,
  placeholder,
  Prec,
  StateEffect,
  StateField,
  StreamLanguage,
  syntaxHighlighting,
  tags,
} from "./vendor/codemirror.js";

/** @typedef {import("@codemirror/autocomplete").CompletionContext} CompletionContext */
/** @typedef {import("@codemirror/autocomplete").CompletionResult} CompletionResult */
/** @typedef {import("@codemirror/language").StringStream} Stream */
/** @typedef {{insert: string, label: string, kind: string, detail?: string}} Offer */
/** @typedef {{from: number, to: number, options: Offer[]}} Offers */
/** @typedef {{start: number, end: number}} Place */

/**
 * @typedef {object} Wishes
 * @property {string} text the text at first.
 * @property {number} caret where the caret stands at first.
 * @property {string} label what the box is called for a screen reader.
 * @property {string} hint what stands in the empty box.
 * @property {(text: string, place: number, signal: AbortSignal) => Promise<Offers>} complete
 * @property {(text: string) => void} run called by Enter.
 * @property {(text: string) => void} typed called when a person changed the text.
 * @property {(step: -1 | 1) => string | null} recall gives an earlier or later text of the history.
 * @property {() => void} leave called by Escape.
 */

const KEYWORDS = new Set(
  (
    "all and any as asc between by case cast cross desc distinct else end escape except exists false " +
    "filter from full glob group having ilike in inner intersect is join lateral left like limit not " +
    "null nulls first last offset on or order outer over partition qualify recursive right rows sample " +
    "samples select similar simple then to true union unnest using values when where window with"
  ).split(" "),
);

/** @type {import("@codemirror/language").StreamParser<{inside: string}>} */
const QUERY_LANGUAGE = {
  name: "slicedb",
  startState: () => ({ inside: "" }),
  token: (stream, state) => (state.inside ? rest(stream, state) : token(stream, state)),
  languageData: { closeBrackets: { brackets: ["(", "[", "'", '"'] } },
};

/**
 * Go on in a string or comment that began on this line or an earlier one.
 * @param {Stream} stream
 * @param {{inside: string}} state
 */
function rest(stream, state) {
  const end = state.inside;
  if (end === "*/") {
    if (stream.skipTo(end)) {
      stream.match(end);
      state.inside = "";
    } else stream.skipToEnd();
    return "comment";
  }
  while (!stream.eol()) {
    if (stream.next() !== end) continue;
    if (stream.peek() === end) stream.next(); // a doubled quote stands for one
    else {
      state.inside = "";
      break;
    }
  }
  return end === "'" ? "string" : "propertyName";
}

/**
 * @param {Stream} stream
 * @param {{inside: string}} state
 * @returns {string | null}
 */
function token(stream, state) {
  if (stream.eatSpace()) return null;
  if (stream.match("--")) {
    stream.skipToEnd();
    return "comment";
  }
  const opened = stream.match("/*") ? "*/" : (stream.match(/^['"]/, false) && stream.next()) || "";
  if (opened) {
    state.inside = String(opened);
    return rest(stream, state);
  }
  if (stream.match(/^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?%?/i)) return "number";
  if (stream.match(/^\$\w+/)) return "atom";
  if (stream.match(/^[\p{L}_][\p{L}\p{N}_]*/u)) {
    const word = stream.current().toLowerCase();
    if (KEYWORDS.has(word)) return "keyword";
    return stream.match(/^\s*\(/, false) ? "typeName" : "variableName";
  }
  if (stream.match(/^[-+*\/%<>=!|&~^:]+/)) return "operator";
  stream.next();
  return null;
}

const COLOURS = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--code-keyword)", fontWeight: "600" },
  { tag: tags.string, color: "var(--code-string)" },
  { tag: tags.number, color: "var(--code-number)" },
  { tag: tags.atom, color: "var(--code-number)" },
  { tag: tags.typeName, color: "var(--code-function)" },
  { tag: tags.comment, color: "var(--soft)", fontStyle: "italic" },
  { tag: tags.operator, color: "var(--soft)" },
]);

const LOOK = EditorView.theme({
  "&": { color: "var(--ink)", backgroundColor: "transparent", fontSize: "inherit" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": {
    fontFamily: "inherit",
    lineHeight: "1.5",
    maxHeight: "12em",
    overflow: "auto",
  },
  ".cm-content": { padding: "0", caretColor: "var(--ink)" },
  ".cm-line": { padding: "0" },
  ".cm-placeholder": { color: "var(--soft)" },
  ".cm-wrong": {
    textDecoration: "underline wavy var(--fail)",
    textDecorationSkipInk: "none",
    backgroundColor: "hsl(var(--bad) / 0.15)",
  },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "hsl(var(--mark) / 0.18)" },
  ".cm-tooltip": {
    color: "var(--ink)",
    backgroundColor: "var(--card)",
    border: "1px solid var(--line)",
    borderRadius: "6px",
    overflow: "hidden",
    boxShadow: "var(--shadow)",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "inherit", maxHeight: "16em" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 10px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": {
    color: "var(--ink)",
    backgroundColor: "hsl(var(--mark) / 0.18)",
  },
  ".cm-completionDetail": { color: "var(--soft)", fontStyle: "normal", marginLeft: "1.5em" },
});

/** @type {import("@codemirror/state").StateEffectType<Place | null>} */
const MARK = StateEffect.define();

/** The marked place, which goes as soon as the text is changed. */
const MARKED = StateField.define({
  create: () => Decoration.none,
  update(marks, change) {
    if (change.docChanged) return Decoration.none;
    for (const effect of change.effects) {
      if (!effect.is(MARK)) continue;
      const n = change.state.doc.length;
      const start = Math.min(effect.value?.start ?? 0, Math.max(0, n - 1));
      const end = Math.min(n, Math.max(effect.value?.end ?? 0, start + 1));
      const range = effect.value && end > start ? [WRONG.range(start, end)] : [];
      return Decoration.set(range);
    }
    return marks;
  },
  provide: (field) => EditorView.decorations.from(field),
});
const WRONG = Decoration.mark({ class: "cm-wrong" });

/**
 * Put a text in place of the selection. Left to itself, Chromium writes it into an element with the style of what
 * was selected, as an attribute, which the content security policy forbids.
 * @param {InputEvent} event
 * @param {EditorView} view
 */
function replaced(event, view) {
  const { main } = view.state.selection;
  if (main.empty || event.inputType !== "insertText" || !event.data || view.composing) return false;
  const text = event.data;
  const insert = () => view.state.update({ ...view.state.replaceSelection(text), userEvent: "input.type", scrollIntoView: true });
  const handlers = view.state.facet(EditorView.inputHandler);
  if (!handlers.some((handler) => handler(view, main.from, main.to, text, insert))) view.dispatch(insert());
  event.preventDefault();
  return true;
}

export class Editor {
  /**
   * @param {HTMLElement} host an empty element, which holds it from now on.
   * @param {Wishes} wishes
   */
  constructor(host, wishes) {
    this.wishes = wishes;
    const root = host.shadowRoot ?? host.attachShadow({ mode: "open", delegatesFocus: true });
    this.view = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: wishes.text,
        selection: { anchor: Math.min(wishes.caret, wishes.text.length) },
        extensions: this.#extensions(),
      }),
    });
  }

  get text() {
    return this.view.state.doc.toString();
  }

  /** Put in another text, with the caret at its end; `typed` is not called. @param {string} text */
  set text(text) {
    if (text === this.text) return;
    const whole = { from: 0, to: this.view.state.doc.length, insert: text };
    this.view.dispatch({ changes: whole, selection: { anchor: text.length } });
  }

  /** Underline a place of the text, or nothing. @param {Place | null} place */
  mark(place) {
    this.view.dispatch({ effects: MARK.of(place) });
    this.view.contentDOM.setAttribute("aria-invalid", place ? "true" : "false");
  }

  focus() {
    this.view.focus();
  }

  #extensions() {
    const { label, hint, typed } = this.wishes;
    return [
      history(),
      closeBrackets(),
      bracketMatching(),
      EditorView.lineWrapping,
      placeholder(hint),
      StreamLanguage.define(QUERY_LANGUAGE),
      syntaxHighlighting(COLOURS),
      LOOK,
      MARKED,
      autocompletion({
        override: [(context) => this.#offers(context)],
        selectOnOpen: false, // Enter runs the query as it stands unless an offer was chosen
        icons: false,
        defaultKeymap: false, // its Escape also ends what is asked for and not shown
        interactionDelay: 0,
      }),
      Prec.highest(keymap.of(this.#keys())),
      keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap]),
      EditorView.domEventHandlers({ beforeinput: replaced }),
      EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false" }),
      EditorView.updateListener.of((update) => {
        const byPerson = update.transactions.some((t) => t.docChanged && t.isUserEvent("input") || t.isUserEvent("delete"));
        if (update.docChanged && byPerson) typed(this.text);
      }),
    ];
  }

  #keys() {
    const { run, leave } = this.wishes;
    return [
      { key: "Tab", run: (/** @type {EditorView} */ view) => this.#accept(view) },
      {
        key: "Enter",
        run: (/** @type {EditorView} */ view) => {
          if (acceptCompletion(view)) return true;
          closeCompletion(view);
          run(this.text);
          return true;
        },
      },
      { key: "Mod-Enter", run: () => (run(this.text), true) },
      { key: "ArrowUp", run: (/** @type {EditorView} */ view) => this.#recall(view, -1) },
      { key: "ArrowDown", run: (/** @type {EditorView} */ view) => this.#recall(view, 1) },
      {
        key: "Escape",
        run: (/** @type {EditorView} */ view) => {
          const isOpen = completionStatus(view.state) === "active";
          closeCompletion(view); // what is asked for and not shown yet, too
          if (!isOpen) leave();
          return true;
        },
      },
    ];
  }

  /** Take the chosen offer, or the first: Tab leaves the box where there is none. @param {EditorView} view */
  #accept(view) {
    if (completionStatus(view.state) !== "active") return false;
    return acceptCompletion(view) || (moveCompletionSelection(true)(view) && acceptCompletion(view));
  }

  /**
   * Fetch an earlier text at the first line, or a later one at the last.
   * @param {EditorView} view
   * @param {-1 | 1} step
   */
  #recall(view, step) {
    if (completionStatus(view.state) === "active") return false;
    const line = view.state.doc.lineAt(view.state.selection.main.head).number;
    if (line !== (step < 0 ? 1 : view.state.doc.lines)) return false;
    const text = this.wishes.recall(step);
    if (text === null) return false;
    this.text = text;
    return true;
  }

  /**
   * @param {CompletionContext} context
   * @returns {Promise<CompletionResult | null>}
   */
  async #offers(context) {
    const before = context.state.sliceDoc(Math.max(0, context.pos - 1), context.pos);
    if (!context.explicit && !/[\p{L}\p{N}_'.(\[]/u.test(before)) return null;
    const leaving = new AbortController();
    context.addEventListener("abort", () => leaving.abort(), { onDocChange: true });
    try {
      const found = await this.wishes.complete(this.text, context.pos, leaving.signal);
      if (context.aborted || !found.options.length) return null;
      const options = found.options.map((o) => ({ label: o.label, apply: o.insert, type: o.kind, detail: o.detail || o.kind }));
      return { from: found.from, to: found.to, options, filter: false };
    } catch {
      return null; // the box works without offers, and what is wrong is said when the query runs
    }
  }
}
