// @ts-check
// Write conditions and orders into the text of a query, as a person would, and take them out again.
//
// A text is a predicate with an optional tail (ORDER BY, LIMIT), or a whole SELECT. Only the uppermost level
// of a predicate is looked at: what stands in parentheses stays as it is.

/** @typedef {{kind: "word" | "text" | "mark", text: string, start: number, end: number, depth: number}} Token */

const TOKEN =
  /(?<space>\s+|--[^\n]*|\/\*[^]*?(?:\*\/|$))|(?<text>'(?:[^']|'')*'?)|(?<word>"(?:[^"]|"")*"?|[\p{L}_$][\p{L}\p{N}_$]*)|(?<number>\d[\w.]*)|(?<mark><=|>=|<>|!=|::|[^])/gu;

/**
 * Return the words and signs of a text; spaces and comments are none. CASE … END counts as parentheses.
 * @param {string} text
 * @returns {Token[]}
 */
export function tokens(text) {
  /** @type {Token[]} */
  const found = [];
  let depth = 0;
  for (const match of text.matchAll(TOKEN)) {
    const groups = match.groups ?? {};
    if (groups.space !== undefined) continue;
    const [part] = match;
    const word = groups.word?.toLowerCase();
    if (part === ")" || part === "]" || part === "}" || word === "end") depth = Math.max(0, depth - 1);
    const kind = groups.word !== undefined ? "word" : groups.mark !== undefined ? "mark" : "text";
    found.push({ kind, text: part, start: match.index, end: match.index + part.length, depth });
    if (part === "(" || part === "[" || part === "{" || word === "case") depth += 1;
  }
  return found;
}

/** Whether a token is one of some keywords, outside parentheses. @param {Token | undefined} token @param {...string} words */
function is(token, ...words) {
  return token?.kind === "word" && token.depth === 0 && words.includes(token.text.toLowerCase());
}

/** Return a text that is the same for texts which differ in spaces and in the case of words. @param {string} text */
export function normal(text) {
  return tokens(text)
    .map((token) => (token.kind === "word" && !token.text.startsWith('"') ? token.text.toLowerCase() : token.text))
    .join(" ");
}

/**
 * @typedef {object} Parts
 * @property {boolean} whole whether the text is a SELECT of its own.
 * @property {string[]} conditions what is joined by AND; one where there is an OR beside it.
 * @property {string} tail from ORDER BY, LIMIT, OFFSET or QUALIFY on.
 * @property {boolean} cut whether the tail leaves samples out.
 */

/**
 * Take a text apart.
 * @param {string} text
 * @returns {Parts}
 */
export function parts(text) {
  const all = tokens(text);
  while (all.at(-1)?.text === ";") all.pop();
  if (is(all[0], "select", "with", "from")) return { whole: true, conditions: [], tail: "", cut: true };
  const end = all.length ? all[all.length - 1].end : 0;
  const at = all.findIndex((token) => is(token, "order", "limit", "offset", "qualify"));
  const head = at < 0 ? all : all.slice(0, at);
  const tail = at < 0 ? "" : text.slice(all[at].start, end);
  const cut = at >= 0 && all.slice(at).some((token) => is(token, "limit", "offset", "qualify"));
  return { whole: false, conditions: conditions(text, head), tail, cut };
}

/** @param {string} text @param {Token[]} head */
function conditions(text, head) {
  if (!head.length) return [];
  const whole = text.slice(head[0].start, head[head.length - 1].end);
  if (head.some((token) => is(token, "or"))) return [whole];
  const found = [];
  let [start, between] = [head[0].start, false];
  for (const [i, token] of head.entries()) {
    if (is(token, "between")) between = true;
    else if (is(token, "and") && between) between = false; // it belongs to BETWEEN a AND b
    else if (is(token, "and") && i > 0 && i < head.length - 1) {
      found.push(text.slice(start, head[i - 1].end));
      start = head[i + 1].start;
    }
  }
  found.push(text.slice(start, head[head.length - 1].end));
  return found;
}

/** Return a condition that may stand beside an AND. @param {string} condition */
function guarded(condition) {
  return tokens(condition).some((token) => is(token, "or")) ? `(${closed(condition)})` : condition;
}

/** End a text such that a comment at its end swallows nothing. @param {string} text */
function closed(text) {
  return text.includes("--") ? `${text}\n` : text;
}

/** Put a text together. @param {Pick<Parts, "conditions" | "tail">} parts */
export function joined({ conditions, tail }) {
  const head = conditions.length > 1 ? conditions.map(guarded).join(" AND ") : (conditions[0] ?? "");
  return [head, tail].filter(Boolean).join(" ");
}

/**
 * Return the parts of a text such that a condition may be added: a SELECT, and a text with a LIMIT, become a
 * condition themselves, since further ones choose among their samples.
 * @param {string} text
 * @returns {Parts}
 */
function open(text) {
  const found = parts(text);
  if (!found.cut) return found;
  const where = found.conditions.length ? `WHERE ${joined({ ...found, tail: "" })} ` : "";
  const select = found.whole ? text.replace(/[;\s]+$/, "") : `SELECT * FROM samples ${where}${found.tail}`;
  return { whole: false, conditions: [`id IN (SELECT id FROM (${closed(select)}))`], tail: "", cut: false };
}

/**
 * Return what a condition compares: `label = 'cat'` is {left: "label", values: ["'cat'"]}.
 * @param {string} condition
 * @returns {{left: string, values: string[]} | null}
 */
function compared(condition) {
  const all = tokens(condition);
  const at = all.findIndex((token) => token.depth === 0 && (token.text === "=" || is(token, "in")));
  if (at < 1 || is(all[at - 1], "not")) return null;
  const left = condition.slice(all[0].start, all[at - 1].end);
  if (tokens(left).some((token) => is(token, "and", "or", "not"))) return null;
  const right = all.slice(at + 1);
  if (!right.length) return null;
  if (all[at].text === "=") {
    return { left, values: [condition.slice(right[0].start, right[right.length - 1].end)] };
  }
  if (right[0].text !== "(" || right.at(-1)?.text !== ")") return null;
  const values = [];
  let start = right[0].end;
  for (const token of right.slice(1)) {
    if (token.depth === 1 && is({ ...token, depth: 0 }, "select")) return null;
    if ((token.text === "," && token.depth === 1) || token === right.at(-1)) {
      values.push(condition.slice(start, token.start).trim());
      start = token.end;
    }
  }
  return { left, values };
}

/** @param {string} left @param {string[]} values */
function among(left, values) {
  return values.length === 1 ? `${left} = ${values[0]}` : `${left} IN (${values.join(", ")})`;
}

/**
 * Return the place of the condition that allows what a predicate says, -1 where there is none.
 * @param {string[]} conditions
 * @param {string} predicate
 */
function find(conditions, predicate) {
  const wanted = normal(predicate);
  const same = conditions.findIndex((condition) => normal(condition) === wanted);
  const asked = same < 0 ? compared(predicate) : null;
  if (!asked) return same;
  return conditions.findIndex((condition) => {
    const found = compared(condition);
    const isSide = found && normal(found.left) === normal(asked.left);
    return isSide && found.values.some((value) => normal(value) === normal(asked.values[0]));
  });
}

/** Whether a text has a predicate as a condition, alone or among others. @param {string} text @param {string} predicate */
export function has(text, predicate) {
  return find(parts(text).conditions, predicate) >= 0;
}

/** Whether a text leaves out what a predicate says. @param {string} text @param {string} predicate */
export function leavesOut(text, predicate) {
  const wanted = normal(opposite(predicate));
  return parts(text).conditions.some((condition) => normal(condition) === wanted);
}

/**
 * Return the condition of all samples for which a predicate is false or NULL.
 * @param {string} predicate
 */
export function opposite(predicate) {
  const asked = compared(predicate);
  if (asked?.values.length === 1) return `${asked.left} IS DISTINCT FROM ${asked.values[0]}`;
  const without = predicate.replace(/\s+IS\s+NULL\s*$/i, "");
  if (without !== predicate) return `${without} IS NOT NULL`;
  return `(${predicate}) IS NOT TRUE`;
}

/**
 * Add a predicate as a condition, or take it out where it stands. Values of one column are alternatives:
 * 'dog' after 'cat' gives `label IN ('cat', 'dog')`.
 * @param {string} text
 * @param {string} predicate
 */
export function toggled(text, predicate) {
  const given = parts(text);
  const at = find(given.conditions, predicate);
  if (at >= 0) return removed(given, at, predicate);
  const { conditions, tail } = open(text);
  const counter = normal(opposite(predicate));
  const kept = conditions.filter((condition) => normal(condition) !== counter);
  const asked = compared(predicate);
  const beside = asked ? kept.findIndex((c) => normal(compared(c)?.left ?? "") === normal(asked.left)) : -1;
  if (asked && beside >= 0) {
    kept[beside] = among(asked.left, [...(compared(kept[beside])?.values ?? []), ...asked.values]);
  } else kept.push(predicate);
  return joined({ conditions: kept, tail });
}

/** @param {Parts} given @param {number} at @param {string} predicate */
function removed({ conditions, tail }, at, predicate) {
  const [found, asked] = [compared(conditions[at]), compared(predicate)];
  const left = found && asked ? found.values.filter((v) => normal(v) !== normal(asked.values[0])) : [];
  const changed = [...conditions];
  if (found && left.length) changed[at] = among(found.left, left);
  else changed.splice(at, 1);
  return joined({ conditions: changed, tail });
}

/** Leave out what a predicate says, or let it in again. @param {string} text @param {string} predicate */
export function excluded(text, predicate) {
  const given = parts(text);
  const counter = opposite(predicate);
  const at = given.conditions.findIndex((condition) => normal(condition) === normal(counter));
  if (at >= 0) {
    given.conditions.splice(at, 1);
    return joined(given);
  }
  const allowed = find(given.conditions, predicate);
  const { conditions, tail } = open(allowed >= 0 ? removed(given, allowed, predicate) : text);
  return joined({ conditions: [...conditions, counter], tail });
}

/**
 * Return the bounds that a text sets to a column, as they are written.
 * @param {string} text
 * @param {string} column
 * @returns {[string, string] | null}
 */
export function range(text, column) {
  for (const condition of parts(text).conditions) {
    const found = bounds(condition, column);
    if (found) return found;
  }
  return null;
}

/** @param {string} condition @param {string} column @returns {[string, string] | null} */
function bounds(condition, column) {
  const all = tokens(condition);
  const at = all.findIndex((token) => is(token, "between") || (token.depth === 0 && [">=", "<="].includes(token.text)));
  if (at < 1 || normal(condition.slice(0, all[at].start)) !== normal(column)) return null;
  const rest = condition.slice(all[at].end).trim();
  if (all[at].text === ">=") return [rest, ""];
  if (all[at].text === "<=") return ["", rest];
  const and = all.findIndex((token, i) => i > at && is(token, "and"));
  if (and < 0) return null;
  return [condition.slice(all[at].end, all[and].start).trim(), condition.slice(all[and].end).trim()];
}

/**
 * Set bounds to a column in place of those that it has; null takes them out.
 * @param {string} text
 * @param {string} column
 * @param {[string, string] | null} limits "" is no limit at that end
 */
export function ranged(text, column, limits) {
  const { conditions, tail } = limits && !range(text, column) ? open(text) : parts(text);
  const kept = conditions.filter((condition) => !bounds(condition, column));
  const [low, high] = limits ?? ["", ""];
  if (low && high) kept.push(`${column} BETWEEN ${low} AND ${high}`);
  else if (low) kept.push(`${column} >= ${low}`);
  else if (high) kept.push(`${column} <= ${high}`);
  return joined({ conditions: kept, tail });
}

/** Order a text by an expression, the highest first, in place of the order that it has. @param {string} text @param {string} by */
export function ordered(text, by) {
  const given = parts(text);
  const { conditions } = given.whole ? open(text) : given;
  return joined({ conditions, tail: by && `ORDER BY ${by} DESC` });
}

/** Return the text of the same samples in any order, which is counted faster. @param {string} text */
export function unordered(text) {
  const found = parts(text);
  return found.cut ? text : joined({ ...found, tail: "" });
}

/** Return a value as it is written in a text. @param {string} value */
export function quoted(value) {
  return `'${value.replaceAll("'", "''")}'`;
}

/**
 * Return how alike samples are to some and unlike others, as an expression.
 * @param {string[]} like targets, such as `sample('a1')` or `'a red car'`
 * @param {string[]} unlike
 */
export function likeness(like, unlike) {
  return `similarity(${[...like, ...unlike.map((target) => `without(${target})`)].join(", ")})`;
}

/**
 * Return what a text orders by likeness to, such that more can be added to it; null where it has another order.
 * @param {string} text
 * @returns {{like: string[], unlike: string[]} | null}
 */
export function targets(text) {
  const { tail } = parts(text);
  const all = tokens(tail);
  const words = all.slice(0, 4).map((token) => token.text.toLowerCase());
  if (words.join(" ") !== "order by similarity (") return null;
  const close = all.findIndex((token, i) => i > 3 && token.text === ")" && token.depth === 0);
  const rest = all.slice(close + 1).map((token) => token.text.toLowerCase());
  if (close < 0 || rest.join(" ") !== "desc") return null;
  /** @type {{like: string[], unlike: string[]}} */
  const found = { like: [], unlike: [] };
  let start = all[3].end;
  for (const token of all.slice(4, close + 1)) {
    if (token !== all[close] && !(token.text === "," && token.depth === 1)) continue;
    const target = tail.slice(start, token.start).trim();
    start = token.end;
    const without = /^without\s*\((.*)\)$/is.exec(target);
    if (without) found.unlike.push(without[1].trim());
    else if (target) found.like.push(target);
  }
  return found;
}

/**
 * Order a text by likeness to what it has and to further targets. A target changes sides when it is added to
 * the other one; without anything to be like, nothing can be unlike.
 * @param {string} text
 * @param {string[]} like
 * @param {string[]} unlike
 */
export function liked(text, like, unlike) {
  const had = targets(text) ?? { like: [], unlike: [] };
  const more = [...new Set([...had.like.filter((target) => !unlike.includes(target)), ...like])];
  const less = [...new Set([...had.unlike.filter((target) => !like.includes(target)), ...unlike])];
  if (more.length) return ordered(text, likeness(more, less));
  const worst = `similarity(${less.join(", ")})`;
  return ordered(text, `-${worst}`);
}
