// @ts-check
/**
 * The points of a map, painted as pixels.
 *
 * A point is one 32-bit word, x in its lower and y in its upper 16 bits, both in steps of the map's
 * own grid. Points come in the order of their keys, which are hashes: any first part of them is a
 * sample of the whole, and no colour lies over another because of where its points stand.
 */

/** Pixels around the picture into which dots at its edge may reach. */
export const MARGIN = 8;
/** Index of the palette: no value. */
export const NONE = 255;
const MOST_DOT = 7;
const FEW = 50_000;
const FILLED = 0.5;

/**
 * How the grid of the points lies on the picture: pixel = offset + steps * scale; y grows upwards.
 * @typedef {{ox: number, oy: number, sx: number, sy: number}} Placing
 */

/**
 * @typedef {object} Picture
 * @property {ImageData} image with a margin on each side
 * @property {Uint32Array} pixels of the same memory, one word each
 * @property {number} width without margins
 * @property {number} height
 */

export class Cloud {
  /** @param {number} n points that there will be */
  constructor(n) {
    this.n = n;
    /** Points that have come. */
    this.loaded = 0;
    this.bytes = new Uint8Array(4 * n);
    this.at = new Uint32Array(this.bytes.buffer);
    this.colours = new Uint8Array(n).fill(NONE);
    /** Of each point whether the query has it; null where it has all. @type {Uint8Array | null} */
    this.inside = null;
    /** Points that the query has. */
    this.held = n;
    this.received = 0;
  }

  /**
   * Take the next bytes of the points.
   * @param {Uint8Array} part
   */
  add(part) {
    this.bytes.set(part, this.received);
    this.received += part.length;
    this.loaded = this.received >> 2;
  }

  /**
   * Say which points the query has.
   * @param {Uint8Array | null} inside one byte for each, or null for all of them
   */
  hold(inside) {
    this.inside = inside;
    let held = inside === null ? this.n : 0;
    if (inside !== null) for (let i = 0; i < inside.length; i++) held += inside[i];
    this.held = held;
  }
}

/**
 * Return one byte for each bit, the lowest bit of a byte first.
 * @param {Uint8Array} bits
 * @param {number} n
 */
export function unpacked(bits, n) {
  const bytes = new Uint8Array(n);
  for (let i = 0; i < n; i++) bytes[i] = (bits[i >> 3] >> (i & 7)) & 1;
  return bytes;
}

/**
 * Make an empty picture.
 * @param {number} width
 * @param {number} height
 * @returns {Picture}
 */
export function picture(width, height) {
  const image = new ImageData(width + 2 * MARGIN, height + 2 * MARGIN);
  return { image, pixels: new Uint32Array(image.data.buffer), width, height };
}

/**
 * Paint the points, those outside the query first.
 * @param {Picture} on
 * @param {Cloud} cloud
 * @param {Placing} placing
 * @param {Uint32Array} palette 256 words of alpha, blue, green and red
 * @param {number} grey the word of points outside the query
 * @param {number} dot pixels across
 */
export function paint(on, cloud, placing, palette, grey, dot) {
  on.pixels.fill(0);
  if (cloud.inside === null) {
    pass(on, cloud, placing, palette, dot, null, 1);
    return;
  }
  pass(on, cloud, placing, new Uint32Array(256).fill(grey), Math.max(1, dot - 1), cloud.inside, 0);
  pass(on, cloud, placing, palette, dot, cloud.inside, 1);
}

/**
 * @param {Picture} on
 * @param {Cloud} cloud
 * @param {Placing} placing
 * @param {Uint32Array} palette
 * @param {number} dot
 * @param {Uint8Array | null} inside
 * @param {number} which paint the points whose byte is this one
 */
function pass(on, cloud, placing, palette, dot, inside, which) {
  const { at, colours, loaded } = cloud;
  const { pixels, width, height } = on;
  const { sx, sy } = placing;
  const ox = placing.ox + MARGIN;
  const oy = placing.oy + MARGIN;
  const right = width + 2 * MARGIN - 4;
  const bottom = height + 2 * MARGIN - 4;
  const stride = width + 2 * MARGIN;
  const offsets = disc(dot, stride);
  const size = offsets.length;
  for (let i = 0; i < loaded; i++) {
    if (inside !== null && inside[i] !== which) continue;
    const word = at[i];
    const x = (ox + (word & 65535) * sx) | 0;
    if (x < 4 || x >= right) continue;
    const y = (oy + (word >>> 16) * sy) | 0;
    if (y < 4 || y >= bottom) continue;
    const colour = palette[colours[i]];
    const place = y * stride + x;
    if (size === 1) pixels[place] = colour;
    else for (let k = 0; k < size; k++) pixels[place + offsets[k]] = colour;
  }
}

/** @type {Map<string, Int32Array>} */
const discs = new Map();

/**
 * Return the places of the pixels of a dot, from that of its centre.
 * @param {number} size pixels across
 * @param {number} stride pixels of a row
 */
function disc(size, stride) {
  const name = `${size} ${stride}`;
  const kept = discs.get(name);
  if (kept) return kept;
  const places = [];
  const middle = (size - 1) / 2;
  const reach = size < 3 ? size : (size / 2) ** 2 + 0.1;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      if ((x - middle) ** 2 + (y - middle) ** 2 > reach) continue;
      places.push((y - (size >> 1)) * stride + x - (size >> 1));
    }
  }
  const offsets = Int32Array.from(places);
  if (discs.size > 64) discs.clear();
  discs.set(name, offsets);
  return offsets;
}

/**
 * Return how many pixels across a dot is: points that are close together are small.
 * @param {Cloud} cloud
 * @param {Placing} placing
 * @param {number} width
 * @param {number} height
 * @param {number} ratio pixels of the device for one of the page
 */
export function dotSize(cloud, placing, width, height, ratio) {
  const few = Math.min(cloud.loaded, FEW);
  let shown = 0;
  for (let i = 0; i < few; i++) {
    const word = cloud.at[i];
    const x = placing.ox + (word & 65535) * placing.sx;
    const y = placing.oy + (word >>> 16) * placing.sy;
    if (x >= 0 && x < width && y >= 0 && y < height) shown++;
  }
  const visible = Math.max(1, (shown * cloud.n) / Math.max(1, few));
  const size = Math.sqrt((FILLED * width * height) / visible);
  return Math.round(Math.max(1, Math.min(MOST_DOT * ratio, size, 2 * MARGIN - 8)));
}

/**
 * Return the index of the point nearest to a pixel, -1 where none is close.
 *
 * A point of the query goes before one outside it.
 * @param {Cloud} cloud
 * @param {Placing} placing
 * @param {number} x
 * @param {number} y
 * @param {number} radius in pixels
 */
export function nearest(cloud, placing, x, y, radius) {
  const { at, inside, loaded } = cloud;
  const { sx, sy, ox, oy } = placing;
  const far = radius * radius;
  let best = -1;
  let least = 2 * far;
  for (let i = 0; i < loaded; i++) {
    const word = at[i];
    const dx = ox + (word & 65535) * sx - x;
    if (dx > radius || dx < -radius) continue;
    const dy = oy + (word >>> 16) * sy - y;
    const apart = dx * dx + dy * dy;
    if (apart > far) continue;
    const ranked = inside !== null && inside[i] === 0 ? apart + far : apart;
    if (ranked < least) {
      least = ranked;
      best = i;
    }
  }
  return best;
}

/**
 * Return one byte for each point: whether an outline encloses it, by the even-odd rule.
 *
 * The outline is filled on a canvas of its own, on which each point is then looked up.
 * @param {Cloud} cloud
 * @param {Placing} placing
 * @param {ReadonlyArray<readonly [number, number]>} outline pixels
 * @param {number} width of the picture
 * @param {number} height
 */
export function encircled(cloud, placing, outline, width, height) {
  const inside = new Uint8Array(cloud.n);
  const xs = outline.map((corner) => corner[0]);
  const ys = outline.map((corner) => corner[1]);
  const left = Math.max(0, Math.floor(Math.min(...xs)));
  const top = Math.max(0, Math.floor(Math.min(...ys)));
  const wide = Math.min(width, Math.ceil(Math.max(...xs)) + 1) - left;
  const high = Math.min(height, Math.ceil(Math.max(...ys)) + 1) - top;
  if (!(wide > 0 && high > 0)) return inside;
  const mask = filled(outline, left, top, wide, high);
  const { at, loaded } = cloud;
  const { sx, sy } = placing;
  const ox = placing.ox - left;
  const oy = placing.oy - top;
  for (let i = 0; i < loaded; i++) {
    const word = at[i];
    const x = ox + (word & 65535) * sx;
    if (!(x >= 0 && x < wide)) continue;
    const y = oy + (word >>> 16) * sy;
    if (!(y >= 0 && y < high)) continue;
    inside[i] = mask[(y | 0) * wide + (x | 0)] >>> 31;
  }
  return inside;
}

/**
 * Return the pixels of a filled outline: the highest bit of a word says whether it is inside.
 * @param {ReadonlyArray<readonly [number, number]>} outline
 * @param {number} left
 * @param {number} top
 * @param {number} wide
 * @param {number} high
 */
function filled(outline, left, top, wide, high) {
  const canvas = document.createElement("canvas");
  canvas.width = wide;
  canvas.height = high;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) throw new Error("This browser draws no canvas.");
  context.beginPath();
  for (const [x, y] of outline) context.lineTo(x - left, y - top);
  context.closePath();
  context.fill("evenodd");
  return new Uint32Array(context.getImageData(0, 0, wide, high).data.buffer);
}
