// @ts-check
// Boxes over a small picture: those of the truth with a line, those of models with dashes.

import { svg } from "./base.js";

/** Colours of models there are. */
const TONES = 7;

/** The column of what is annotated; a detector's is called `model.objects`. */
export const TRUTH = "objects";

/** @typedef {{width: number | null, height: number | null, boxes?: Record<string, number[][]>}} Outlined */

/**
 * Draw the boxes of a row, a path for each column that they come from; null where there are none.
 * @param {Outlined} row
 * @param {string[]} models all models, whose places say their colours
 */
export function outlines({ width, height, boxes }, models) {
  const drawn = Object.entries(boxes ?? {}).filter(([, one]) => one.length);
  if (!width || !height || !drawn.length) return null;
  const paths = drawn.map(([column, one]) => {
    const tone = column === TRUTH ? "truth" : `said tone-${1 + (models.indexOf(model(column)) % TONES)}`;
    return svg("path", { class: tone, d: one.map(([x, y, w, h]) => `M${x} ${y}h${w}v${h}h${-w}z`).join("") });
  });
  const n = drawn.reduce((sum, [, one]) => sum + one.length, 0);
  const about = `${n.toLocaleString("en")} ${n === 1 ? "box" : "boxes"}`;
  return svg("svg", { class: "outlines", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": about }, ...paths);
}

/** The model whose boxes a column has. @param {string} column as a query names it */
export function model(column) {
  const name = column.replace(/\.objects$/, "");
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
}

/**
 * Say how many boxes of each label there are, as in "3 boxes: 2 cat, 1 dog".
 * @param {{label: string | null}[]} boxes
 */
export function counted(boxes) {
  /** @type {Map<string, number>} */
  const by = new Map();
  for (const { label } of boxes) by.set(label ?? "no label", (by.get(label ?? "no label") ?? 0) + 1);
  const each = [...by].sort((a, b) => b[1] - a[1]).map(([label, n]) => `${n} ${label}`);
  return `${boxes.length} ${boxes.length === 1 ? "box" : "boxes"}${each.length ? `: ${each.join(", ")}` : ""}`;
}
