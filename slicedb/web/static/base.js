// @ts-check
// What every page uses: requests, elements, the address as state, notices, keys, dialogs.

/** Elements and texts that `h` puts inside one. @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {{line: number, column: number, token: string, start?: number, end?: number}} Where */

const html = document.documentElement;

/** The prefix under which a proxy shows the server. */
export const root = html.dataset.root ?? "";

/** "viewer" or "editor". */
export const role = html.dataset.role ?? "viewer";

/** An error that the server tells of. */
export class ApiError extends Error {
  /**
   * @param {number} status of the response, 0 where there was none
   * @param {{message: string, hint?: string, kind?: string, where?: Where | null}} said
   */
  constructor(status, said) {
    super(said.message);
    this.status = status;
    this.hint = said.hint ?? "";
    this.kind = said.kind ?? "";
    this.where = said.where ?? null;
  }
}

/**
 * Return the address of a path; parameters that are null, undefined or empty are left out.
 * @param {string} path
 * @param {Record<string, string | number | boolean | null | undefined>} [parameters]
 */
export function url(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return root + path + (text ? `?${text}` : "");
}

/**
 * Return the address that shows a query in Explore.
 * @param {string} text
 * @param {Record<string, string | number | null>} [more] of its state, such as sort
 */
export function explore(text, more = {}) {
  return url("/", { q: text, ...more });
}

/**
 * Ask the server. GET, or POST where there is a body.
 * @param {string} path
 * @param {{params?: Record<string, any>, body?: object | ArrayBuffer | Blob, signal?: AbortSignal, raw?: boolean}} [options]
 *   body: sent as JSON, bytes as they are; raw: return the Response
 * @returns {Promise<any>}
 * @throws {ApiError} what the server says; status 0 when it cannot be reached
 */
export async function api(path, { params, body, signal, raw } = {}) {
  /** @type {RequestInit} */
  const request = { signal, headers: { "X-SliceDB": "1" }, credentials: "same-origin" };
  if (body !== undefined) {
    const bytes = body instanceof ArrayBuffer || body instanceof Blob;
    request.method = "POST";
    request.body = bytes ? body : JSON.stringify(body);
    const kind = bytes ? "application/octet-stream" : "application/json";
    request.headers = { "X-SliceDB": "1", "Content-Type": kind };
  }
  let response;
  try {
    response = await fetch(url(path, params), request);
  } catch (error) {
    if (signal?.aborted) throw error;
    lost();
    throw new ApiError(0, { message: "The server cannot be reached.", kind: "Lost" });
  }
  found();
  if (response.ok) return raw ? response : response.json();
  const said = await response.json().then(
    (given) => given.error,
    () => ({ message: `The server answered ${response.status}.` }),
  );
  throw new ApiError(response.status, said);
}

/** Return what the server handed to the page. @returns {any} */
export function data() {
  const holder = document.getElementById("data");
  return holder ? JSON.parse(holder.textContent ?? "null") : null;
}

// Connection

/** @type {ReturnType<typeof setTimeout> | undefined} */
let retry;

/** Say that the server is away, and look for it until it is back. */
function lost() {
  const bar = document.getElementById("lost");
  if (!bar || retry) return;
  bar.hidden = false;
  bar.replaceChildren(...prose("The server cannot be reached: is `slicedb app` still running? Trying again …"));
  const look = async () => {
    retry = undefined;
    try {
      const response = await fetch(url("/about.json"), { headers: { "X-SliceDB": "1" } });
      if (response.status === 403) {
        bar.textContent = "The server was started anew: open the link that it printed.";
        return;
      }
      if (response.ok) {
        found();
        return;
      }
    } catch {
      // Still away.
    }
    retry = setTimeout(look, 2000);
  };
  retry = setTimeout(look, 1000);
}

/** The server answers: who waits for that is told by the event "back". */
function found() {
  const bar = document.getElementById("lost");
  clearTimeout(retry);
  retry = undefined;
  if (!bar || bar.hidden) return;
  bar.hidden = true;
  document.dispatchEvent(new CustomEvent("back"));
}

// Elements

/**
 * Make an element. `class`, `for`, `aria-…`, `data-…` are attributes, functions named `on…` listeners,
 * true gives an attribute without a value; false, null and undefined none.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any> | null} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  fill(element, attributes ?? {}, children);
  return element;
}

/**
 * Make an SVG element.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any> | null} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, attributes ?? {}, children);
  return element;
}

/**
 * @param {Element} element
 * @param {Record<string, any>} attributes
 * @param {(Child | Child[])[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/**
 * Return the element with an id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function by(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no element #${id}`);
  return element;
}

// The address as state

/** @type {Set<(values: Record<string, string>) => void>} */
const watchers = new Set();

export const state = {
  /** Return the parameters of the address. @returns {Record<string, string>} */
  get() {
    return Object.fromEntries(new URLSearchParams(location.search));
  },
  /**
   * Change parameters of the address; null or "" takes one away.
   * @param {Record<string, string | number | null | undefined>} values
   * @param {{push?: boolean, quiet?: boolean}} [how] push: a step that "back" undoes; quiet: tell nobody
   */
  set(values, { push = false, quiet = false } = {}) {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(values)) {
      if (value === null || value === undefined || value === "") query.delete(name);
      else query.set(name, String(value));
    }
    const text = query.toString();
    const to = location.pathname + (text ? `?${text}` : "");
    if (to === location.pathname + location.search) return;
    if (push) history.pushState(null, "", to);
    else history.replaceState(null, "", to);
    if (!quiet) for (const watcher of watchers) watcher(state.get());
  },
  /** Be told when the address changes. @param {(values: Record<string, string>) => void} watcher */
  on(watcher) {
    watchers.add(watcher);
  },
};

addEventListener("popstate", () => {
  for (const watcher of watchers) watcher(state.get());
});

// Notices

/**
 * Say something in a corner; a screen reader reads it.
 * @param {string} text
 * @param {{kind?: "info" | "bad" | "good", action?: {title: string, run: () => void}, seconds?: number}} [options]
 */
export function notice(text, { kind = "info", action, seconds = 6 } = {}) {
  const box = h("div", { class: `notice ${kind}` }, h("span", null, ...prose(text)));
  if (action) {
    const run = () => {
      box.remove();
      action.run();
    };
    box.append(h("button", { type: "button", onclick: run }, action.title));
  }
  box.append(h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => box.remove() }, "×"));
  by("notices").append(box);
  if (seconds) setTimeout(() => box.remove(), seconds * 1000);
}

/**
 * Return a hint, which begins small, as a sentence of its own.
 * @param {string} hint
 */
export function sentence(hint) {
  return hint.slice(0, 1).toUpperCase() + hint.slice(1);
}

/**
 * Return what stands in a paragraph: `commands` as code.
 * @param {string} text
 * @returns {(string | HTMLElement)[]}
 */
export function prose(text) {
  return text.split(/`([^`]+)`/).map((part, i) => (i % 2 ? h("code", null, part) : part));
}

/** What went wrong, and the way out. @param {unknown} error */
export function reason(error) {
  const hint = error instanceof ApiError && error.hint ? ` ${sentence(error.hint)}` : "";
  return `${error instanceof Error ? error.message : error}${hint}`;
}

/**
 * Say what went wrong; a request that was called off is nothing.
 * @param {unknown} error
 */
export function failed(error) {
  if (error instanceof DOMException && error.name === "AbortError") return;
  if (error instanceof ApiError && error.status === 0) return;
  notice(reason(error), { kind: "bad", seconds: 12 });
}

// Dialogs

/**
 * Show a dialog; Esc and "Close" end it, and the focus goes back to where it was.
 * @param {string} title
 * @param {...Child} content
 * @returns {HTMLDialogElement}
 */
export function dialog(title, ...content) {
  const close = h("button", { type: "button", class: "quiet", "aria-label": "Close" }, "×");
  const head = h("h2", { id: "dialog-title" }, title);
  const box = h("dialog", { "aria-labelledby": "dialog-title" }, h("header", null, head, close), ...content);
  close.addEventListener("click", () => box.close());
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  return box;
}

// Keys

/**
 * @typedef {object} Key
 * @property {string} key as of KeyboardEvent.key, or two after one another: "g e"
 * @property {string} does what it does, for the list under "?"
 * @property {(event: KeyboardEvent) => void} run
 * @property {() => boolean} [where] whether it counts now
 */

/** @type {Key[]} */
const known = [];
let first = "";

/** @param {EventTarget | null} target */
function isText(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement) return true;
  if (target instanceof HTMLSelectElement) return true;
  const marks = ["button", "checkbox", "radio", "range", "submit", "reset", "file", "color"];
  return target instanceof HTMLInputElement && !marks.includes(target.type);
}

export const keys = {
  /** Add keys; the last one added for a key comes first. @param {...Key} added */
  add(...added) {
    known.unshift(...added);
  },
};

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (isText(event.composedPath()[0] ?? null)) return; // the editor sits in a shadow root, which retargets
  if (document.querySelector("dialog[open]")) return; // it has its own keys, and Esc closes it
  const typed = first ? `${first} ${event.key}` : event.key;
  const found = known.find((each) => each.key === typed && (each.where?.() ?? true));
  const begins = !first && known.some((each) => each.key.startsWith(`${event.key} `));
  first = !found && begins ? event.key : "";
  if (first) setTimeout(() => (first = ""), 1200);
  if (!found) return;
  event.preventDefault();
  found.run(event);
});

/** @type {Record<string, string>} */
const SIGNS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", PageUp: "Page ↑", PageDown: "Page ↓", " ": "Space" };

function help() {
  if (document.querySelector("dialog[open]")) return;
  /** Keys by what they do; a capital is the same letter with Shift. @type {Map<string, string[]>} */
  const groups = new Map();
  for (const { key, does } of [...known].reverse()) {
    const listed = groups.get(does) ?? [];
    if (!listed.some((other) => other.toLowerCase() === key.toLowerCase())) groups.set(does, [...listed, key]);
  }
  const sign = (/** @type {string} */ key) => SIGNS[key] ?? key;
  const rows = [...groups]
    .sort(([, a], [, b]) => Number(a[0].startsWith("g ")) - Number(b[0].startsWith("g ")))
    .map(([does, listed]) =>
      h("tr", null, h("td", null, ...listed.flatMap((key) => key.split(" ").map((one) => h("kbd", null, sign(one))))), h("td", null, does)),
    );
  dialog("Keys", h("table", { class: "keys" }, h("tbody", null, ...rows)));
}

/** The second key of "g …" by page. @type {Record<string, string>} */
const PAGES = { "/": "e", "/map": "m", "/slices": "s", "/models": "o", "/tests": "t", "/clean": "c", "/health": "h", "/try": "y" };

for (const link of document.querySelectorAll("header nav a")) {
  const path = new URL(/** @type {HTMLAnchorElement} */ (link).href).pathname.slice(root.length);
  const letter = PAGES[path];
  if (!letter) continue;
  const go = () => /** @type {HTMLAnchorElement} */ (link).click();
  keys.add({ key: `g ${letter}`, does: `go to ${link.textContent}`, run: go });
}

/** Pages that show the same query, each in its way. */
const TWINS = ["/", "/map"];
const here = location.pathname.slice(root.length);

for (const link of document.querySelectorAll("header nav a")) {
  if (!(link instanceof HTMLAnchorElement) || !TWINS.includes(here)) continue;
  const path = new URL(link.href).pathname.slice(root.length);
  if (path === here || !TWINS.includes(path)) continue;
  const carry = () => {
    const { q, commit, p } = state.get();
    link.href = url(path, { q, commit, p });
  };
  for (const event of ["mousedown", "click", "focus"]) link.addEventListener(event, carry);
}
keys.add({ key: "?", does: "this list", run: help });
document.getElementById("help")?.addEventListener("click", help);

document.getElementById("theme")?.addEventListener("click", () => {
  const dark = html.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  html.dataset.theme = dark === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("slicedb.theme", html.dataset.theme);
  } catch {
    // It lasts as long as the page.
  }
  document.dispatchEvent(new CustomEvent("theme"));
});
