// @ts-check
/** Outlines drawn over a map, and the text of a query that they become. */

/** Pixels by which an outline may move, and corners that it has at most. */
const TOLERANCE = 0.7;
const MOST = 400;

/** @typedef {readonly [number, number]} Corner */

/**
 * Leave out corners that lie close to the line between those that are kept.
 *
 * Douglas and Peucker, "Algorithms for the reduction of the number of points required to represent
 * a digitized line or its caricature", Cartographica 1973. The farthest corner of all is kept next, so
 * that any number of corners is the best that this method has.
 * @param {ReadonlyArray<Corner>} corners the last is joined with the first
 * @param {number} tolerance how far an outline may move, in the unit of the corners
 * @param {number} most corners to keep
 * @returns {Corner[]}
 */
export function simplified(corners, tolerance, most) {
  if (corners.length < 4) return [...corners];
  const ring = [...corners, corners[0]];
  const kept = new Uint8Array(ring.length);
  const half = farthest(ring, 0, ring.length - 1);
  kept[0] = kept[half.at] = 1;
  const parts = [farthest(ring, 0, half.at), farthest(ring, half.at, ring.length - 1)];
  for (let n = 2; n < most; n++) {
    const next = parts.reduce((best, part, i) => (part.apart > parts[best].apart ? i : best), 0);
    const { from, to, at, apart } = parts[next];
    if (apart <= tolerance) break;
    kept[at] = 1;
    parts[next] = farthest(ring, from, at);
    parts.push(farthest(ring, at, to));
  }
  return corners.filter((_, i) => kept[i] === 1);
}

/**
 * Find the corner between two that is farthest from the line that joins them.
 * @param {ReadonlyArray<Corner>} ring
 * @param {number} from
 * @param {number} to
 */
function farthest(ring, from, to) {
  let [apart, at] = [-1, from];
  for (let i = from + 1; i < to; i++) {
    const off = distance(ring[i], ring[from], ring[to]);
    if (off > apart) [apart, at] = [off, i];
  }
  return { from, to, at, apart };
}

/**
 * Return how far a corner is from the line between two others, ends included.
 * @param {Corner} corner
 * @param {Corner} from
 * @param {Corner} to
 */
function distance([x, y], [x0, y0], [x1, y1]) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const long = dx * dx + dy * dy;
  const along = long === 0 ? 0 : Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / long));
  return Math.hypot(x - x0 - along * dx, y - y0 - along * dy);
}

/**
 * Return an outline with few corners and its text, `[[x, y], …]`; null where it encloses nothing.
 *
 * It moves by less than a pixel, unless its text would get longer than what is allowed.
 * @param {ReadonlyArray<Corner>} drawn pixels
 * @param {(corner: Corner) => Corner} place pixels to coordinates of the map
 * @param {number} step coordinates of one pixel
 * @param {number} room bytes of the text
 * @returns {{corners: Corner[], text: string} | null} corners in pixels
 */
export function outlined(drawn, place, step, room) {
  const digits = Math.max(0, Math.min(12, 1 - Math.floor(Math.log10(step))));
  for (let most = MOST; ; ) {
    const corners = simplified(drawn, TOLERANCE, most);
    const pairs = corners.map((corner) => `[${place(corner).map((v) => +v.toFixed(digits)).join(", ")}]`);
    if (new Set(pairs).size < 3) return null;
    const text = `[${pairs.join(", ")}]`;
    if (text.length <= room) return { corners, text };
    most = Math.floor(Math.min(corners.length - 1, (corners.length * room) / text.length));
  }
}
