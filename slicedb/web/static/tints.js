// @ts-check
// Which categories of a map have a colour, and which: the reader chooses, and the address keeps it.

/** @typedef {import("./legend.js").Row} Row */

/** Colours that colour-blind readers tell apart too: --c1 to --c8. */
export const SAFE = 8;
const MOST = 254;
const ALL = "all";

/** Return whether a row stands for one category. @param {Row} row */
export function isCategory(row) {
  return row.query !== "" && row.first === row.last && row.first < MOST;
}

/**
 * Return the labels that have a colour, in the order in which they got one.
 * @param {Row[]} rows
 * @param {string | undefined} asked the address's word: nothing, "all", or labels as JSON
 * @returns {string[]}
 */
export function tinted(rows, asked) {
  const labels = rows.filter(isCategory).map((row) => row.label);
  if (asked === ALL) return labels;
  try {
    const chosen = JSON.parse(asked ?? "");
    if (Array.isArray(chosen)) return chosen.filter((label) => labels.includes(label));
  } catch {
    // Nothing was chosen, or somebody wrote the address by hand.
  }
  return labels.slice(0, SAFE);
}

/**
 * Return the address's word once a label has got a colour or lost it; undefined where nothing is chosen.
 * @param {Row[]} rows
 * @param {string | undefined} asked
 * @param {string} label
 */
export function toggledTint(rows, asked, label) {
  const before = tinted(rows, asked);
  const after = before.includes(label) ? before.filter((other) => other !== label) : [...before, label];
  const usual = tinted(rows, undefined);
  return after.length === usual.length && usual.every((one) => after.includes(one)) ? undefined : JSON.stringify(after);
}

/** Return the word that gives every listed category a colour. */
export const everyTint = () => ALL;

/**
 * Return the place of the colour of each code of the palette; codes without one lack.
 *
 * A category that has a colour from the start keeps it. One that gets its colour later takes the
 * first that is free, so that up to eight are told apart by everybody, whichever they are.
 * @param {Row[]} rows
 * @param {string | undefined} asked
 * @returns {Map<number, number>}
 */
export function placesOf(rows, asked) {
  const codes = new Map(rows.filter(isCategory).map((row) => [row.label, row.first]));
  const chosen = tinted(rows, asked).map((label) => /** @type {number} */ (codes.get(label)));
  const places = new Map(chosen.filter((code) => code < SAFE).map((code) => [code, code]));
  const taken = new Set(places.values());
  let free = 0;
  for (const code of chosen) {
    if (places.has(code)) continue;
    while (taken.has(free)) free++;
    taken.add(free);
    places.set(code, free);
  }
  return places;
}

/**
 * Return a colour beyond the eight safe ones: hues a golden angle apart, in three lightnesses.
 * @param {number} place from SAFE
 * @param {boolean} isDark
 */
export function further(place, isDark) {
  const at = place - SAFE;
  const light = (isDark ? [74, 60, 84] : [38, 52, 28])[at % 3];
  return `hsl(${Math.round(20 + at * 137.508) % 360} ${at % 2 ? 55 : 80}% ${light}%)`;
}
