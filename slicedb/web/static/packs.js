// @ts-check
// Fetch samples in packs, one response for many, and keep those of the last places that were looked at.

import { api, ApiError } from "./base.js";

/** @typedef {{id: string, [column: string]: unknown}} Row */
/** @typedef {{row: Row, picture: string}} Sample picture: the address of a blob, "" where there is none */
/** @typedef {{a: number, b: number, count: number, version: string, behind: number, rows: Row[], sizes: number[]}} Head */
/** @typedef {Head & {samples: Sample[]}} Pack */

/**
 * @typedef {object} Listener
 * @property {(pack: Pack) => void} onPack
 * @property {(error: ApiError) => void} onError
 * @property {() => void} onOther the tables are of another version than those of the first pack.
 */

/** Samples kept: some 25 MB of pictures. */
const KEPT = 4300;
/** Requests at once: the browser has six connections, and facets and clicks need some of them. */
const AT_ONCE = 3;
/** Milliseconds before a busy server is asked again. */
const LATER = 400;

/**
 * Read a pack: the length of a head of JSON, the head, and the pictures one after the other.
 * @param {ArrayBuffer} bytes
 * @returns {Pack}
 */
export function unpacked(bytes) {
  const length = new DataView(bytes).getUint32(0, true);
  /** @type {Head} */
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
  let at = 4 + length;
  const samples = head.rows.map((row, i) => {
    const size = head.sizes[i];
    const picture = size ? URL.createObjectURL(new Blob([new Uint8Array(bytes, at, size)], { type: "image/jpeg" })) : "";
    at += size;
    return { row, picture };
  });
  return { ...head, samples };
}

export class Packs {
  /**
   * @param {Record<string, string | null | undefined>} question parameters that say which samples, and their columns
   * @param {number} side pixels of the longer side of a picture
   * @param {number} screen samples on one screen: a pack has some more
   * @param {Listener} listener
   */
  constructor(question, side, screen, listener) {
    this.question = question;
    this.side = side;
    /** Samples of one pack: more than a screen costs time before the first of them is seen. */
    this.size = Math.max(24, Math.min(120, 12 * Math.ceil(screen / 10)));
    this.count = -1;
    this.version = "";
    /** Seconds that the first answer may be behind what others wrote; a later state is being loaded then. */
    this.behind = 0;
    this.closed = false;
    this.listener = listener;
    /** @type {Map<number, Pack>} */
    this.packs = new Map();
    /** @type {Map<number, AbortController>} */
    this.asked = new Map();
    /** Packs that are asked for, those on screen first. @type {number[]} */
    this.wanted = [];
    /** How many of them are on screen. */
    this.shown = 0;
    this.again = () => this.#ask();
    document.addEventListener("back", this.again);
  }

  /** Return the sample at a place, if it has arrived. @param {number} index @returns {Sample | undefined} */
  get(index) {
    return this.packs.get(Math.floor(index / this.size))?.samples[index % this.size];
  }

  /** Return the place of a sample that has arrived, else -1. @param {string} id */
  find(id) {
    for (const pack of this.packs.values()) {
      const at = pack.rows.findIndex((row) => row.id === id);
      if (at >= 0) return pack.a + at;
    }
    return -1;
  }

  /**
   * Say which places are on screen: they come first, then those that follow, and nothing else is asked any more.
   * @param {number} first
   * @param {number} last the place behind the last
   * @param {number} direction of the scrolling: 1 down, -1 up
   */
  want(first, last, direction = 1) {
    const from = Math.floor(first / this.size);
    const to = Math.floor(Math.max(first, last - 1) / this.size);
    const ahead = direction < 0 ? [from - 1, to + 1] : [to + 1, from - 1];
    const shown = Array.from({ length: to - from + 1 }, (_, i) => from + i);
    const most = this.count < 0 ? Infinity : Math.ceil(this.count / this.size);
    const exists = (/** @type {number} */ k) => k >= 0 && (k < most || k === 0);
    this.wanted = [...shown, ...(this.count < 0 ? [] : ahead)].filter(exists);
    this.shown = shown.filter(exists).length;
    for (const [k, leaving] of this.asked) if (!this.wanted.includes(k)) leaving.abort();
    for (const k of this.wanted) this.#touch(k);
    this.#ask();
  }

  /** Forget everything; the pictures' addresses end. */
  close() {
    this.closed = true;
    document.removeEventListener("back", this.again);
    for (const leaving of this.asked.values()) leaving.abort();
    for (const pack of this.packs.values()) drop(pack);
    this.packs.clear();
  }

  /** @param {number} k */
  #touch(k) {
    const pack = this.packs.get(k);
    if (!pack) return;
    this.packs.delete(k);
    this.packs.set(k, pack);
  }

  #ask() {
    const isFull = this.wanted.slice(0, this.shown).every((k) => this.packs.has(k));
    for (const [i, k] of this.wanted.entries()) {
      if (this.closed || this.asked.size >= AT_ONCE) return;
      if (i >= this.shown && !isFull) return; // what follows waits until nothing on screen is blank
      if (!this.packs.has(k) && !this.asked.has(k)) void this.#fetch(k);
    }
  }

  /** @param {number} k */
  async #fetch(k) {
    const leaving = new AbortController();
    this.asked.set(k, leaving);
    const params = { ...this.question, a: k * this.size, b: (k + 1) * this.size, side: this.side };
    let wait = 0;
    try {
      const response = await api("/api/pack", { params, signal: leaving.signal, raw: true });
      this.#take(k, unpacked(await response.arrayBuffer()));
    } catch (error) {
      if (this.closed || leaving.signal.aborted) wait = 0;
      else if (error instanceof ApiError && error.status === 0) wait = -1; // "back" asks again
      else if (error instanceof ApiError && [429, 503].includes(error.status)) wait = LATER;
      else {
        this.wanted = [];
        wait = -1;
        this.listener.onError(error instanceof ApiError ? error : new ApiError(0, { message: String(error) }));
      }
    }
    this.asked.delete(k);
    if (wait > 0) setTimeout(this.again, wait);
    else if (wait === 0) this.#ask();
  }

  /** @param {number} k @param {Pack} pack */
  #take(k, pack) {
    if (this.closed) return drop(pack);
    if (this.version && pack.version !== this.version) {
      drop(pack);
      this.closed = true;
      return this.listener.onOther();
    }
    if (!this.version) this.behind = pack.behind;
    this.version = pack.version;
    this.count = pack.count;
    this.packs.set(k, pack);
    for (const [old, kept] of this.packs) {
      if (this.packs.size * this.size <= KEPT) break;
      if (this.wanted.includes(old)) continue;
      this.packs.delete(old);
      drop(kept);
    }
    return this.listener.onPack(pack);
  }
}

/** @param {Pack} pack */
function drop(pack) {
  for (const { picture } of pack.samples) if (picture) URL.revokeObjectURL(picture);
}
