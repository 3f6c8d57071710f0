// @ts-check
// Colours of the map and the table that says what they mean.

import { h } from "./base.js";
import { NONE } from "./cloud.js";
import { SAFE, further, isCategory, placesOf } from "./tints.js";

/** @typedef {import("./cloud.js").Cloud} Cloud */
/** @typedef {{label: string, first: number, last: number, query: string}} Row */
/** @typedef {{by: string, kind: "categories" | "ramp", rows: Row[], n_values?: number, notes: string[]}} Colours */

/**
 * @typedef {object} Wishes
 * @property {(query: string) => boolean} isOn whether the present query has a condition
 * @property {(query: string) => void} chosen a row was clicked
 * @property {string | undefined} tint which categories have a colour, as the address has it
 * @property {(label: string) => void} tinted a category shall get a colour, or lose it
 * @property {(range: [number, number] | null) => void} pointed the pointer or the focus is at a row, or at none
 */

const SHADES = 240;
const STOPS = 5;

/** Return a property of the style as red, green and blue. @param {string} name */
function colour(name) {
  return rgb(getComputedStyle(document.documentElement).getPropertyValue(name).trim());
}

/** Return a colour of the style as red, green and blue. @param {string} text @returns {[number, number, number]} */
function rgb(text) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  context.fillStyle = text;
  context.fillRect(0, 0, 1, 1);
  const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
  return [r, g, b];
}

/** @param {readonly number[]} rgb */
function word([r, g, b]) {
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/**
 * Return the words of all codes in the present theme, and that of points outside the query.
 * @param {Colours} colours
 * @param {string | undefined} tint which categories have a colour, as the address has it
 */
export function paletteOf({ kind, rows }, tint) {
  const palette = new Uint32Array(256).fill(word(colour("--other")));
  if (kind === "categories") {
    const [r, g, b] = colour("--card");
    const isDark = r + g + b < 382;
    if (!rows.some(isCategory)) palette[0] = word(colour("--c1"));
    for (const [code, place] of placesOf(rows, tint)) palette[code] = word(place < SAFE ? colour(`--c${place + 1}`) : rgb(further(place, isDark)));
  } else {
    const stops = Array.from({ length: STOPS }, (_, i) => colour(`--ramp-${i}`));
    for (let i = 0; i < SHADES; i++) {
      const at = (i / (SHADES - 1)) * (STOPS - 1);
      const below = Math.min(Math.floor(at), STOPS - 2);
      const part = at - below;
      palette[i] = word(stops[below].map((value, k) => Math.round(value + part * (stops[below + 1][k] - value))));
    }
    // Values beyond the ends.
    [palette[SHADES], palette[SHADES + 1]] = [palette[0], palette[SHADES - 1]];
  }
  palette[NONE] = word(colour("--none"));
  return { palette, grey: word(colour("--outside")) };
}

/** @param {number} value */
function css(value) {
  return `rgb(${value & 255} ${(value >> 8) & 255} ${(value >> 16) & 255})`;
}

/**
 * Fill the table: each row with its colour, its samples in the query and all of them.
 * @param {HTMLElement} table
 * @param {Colours} colours
 * @param {Cloud} cloud
 * @param {Wishes} wishes
 */
export function legend(table, colours, cloud, wishes) {
  const { all, held } = counts(cloud);
  const { palette } = paletteOf(colours, wishes.tint);
  const places = placesOf(colours.rows, wishes.tint);
  const body = /** @type {HTMLElement} */ (table.querySelector("tbody"));
  const focus = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.query : undefined;
  body.replaceChildren(
    ...colours.rows.map((row) => {
      const [n, total] = [sum(held, row), sum(all, row)];
      const swatch = h("i", { "aria-hidden": "true" });
      const [first, last] = [css(palette[row.first]), css(palette[row.last])];
      swatch.style.background = first === last ? first : `linear-gradient(90deg, ${first}, ${last})`;
      const isOne = colours.kind === "categories" && isCategory(row);
      const filter = row.query && h("button", { type: "button", title: row.query, "data-query": row.query, "aria-pressed": String(wishes.isOn(row.query)), onclick: () => wishes.chosen(row.query) }, !isOne && swatch, h("span", null, row.label));
      const name = filter || h("span", { class: "row" }, swatch, row.label);
      const dab = isOne && tint(row, places.has(row.first), swatch, () => wishes.tinted(row.label));
      const line = h("tr", { class: n ? null : "nothing" }, h("th", { scope: "row" }, dab ? h("span", { class: "named" }, dab, name) : name), h("td", { class: "n" }, n.toLocaleString("en")), h("td", { class: "n" }, total.toLocaleString("en")));
      for (const event of ["pointerenter", "focusin"]) line.addEventListener(event, () => wishes.pointed([row.first, row.last]));
      for (const event of ["pointerleave", "focusout"]) line.addEventListener(event, () => wishes.pointed(null));
      return line;
    }),
  );
  const again = focus && [...body.querySelectorAll("button")].find((button) => button.dataset.query === focus);
  if (again) again.focus();
}

/** Return the switch of a category's colour. @param {Row} row @param {boolean} isOn @param {HTMLElement} swatch @param {() => void} run */
function tint(row, isOn, swatch, run) {
  const does = `${isOn ? "Take the colour of" : "Give a colour to"} ${row.label}`;
  return h("button", { type: "button", class: "dab", role: "switch", "aria-checked": String(isOn), "aria-label": `Paint ${row.label}`, title: does, "data-query": `tint ${row.label}`, onclick: run }, swatch);
}

/** Count the points of each code, all of them and those of the query. @param {Cloud} cloud */
function counts({ n, colours, inside }) {
  const all = new Uint32Array(256);
  const held = new Uint32Array(256);
  for (let i = 0; i < n; i++) {
    all[colours[i]]++;
    if (inside === null || inside[i] === 1) held[colours[i]]++;
  }
  return { all, held };
}

/** @param {Uint32Array} counted @param {Row} row */
function sum(counted, { first, last }) {
  let n = 0;
  for (let code = first; code <= last; code++) n += counted[code];
  return n;
}
