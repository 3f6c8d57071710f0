// @ts-check
// The jobs of the server: what runs is shown in the header of every page, and can be stopped there.

import { api, ApiError, by, failed, h, notice, role } from "./base.js";

/**
 * @typedef {object} Job
 * @property {string} id
 * @property {string} kind
 * @property {string} title
 * @property {"running" | "done" | "failed" | "cancelled"} state
 * @property {string} stage
 * @property {number} done
 * @property {number | null} total
 * @property {string} unit
 * @property {number | null} share from 0 to 1
 * @property {number} began seconds since 1970
 * @property {number} seconds
 * @property {string} message why it failed or what was kept
 * @property {string} hint
 * @property {boolean} is_stopping
 * @property {any} [result] of one that was asked for by itself
 */

const EVERY = 500;

/** @type {Map<string, Job>} */
const known = new Map();
/** @type {Set<(job: Job) => void>} */
const watchers = new Set();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** Tells the other tabs of this browser that one has started. */
const channel = "BroadcastChannel" in window ? new BroadcastChannel("slicedb.jobs") : null;

/**
 * Be told of each job when something about it changed: first of those that run already.
 * @param {(job: Job) => void} watcher
 */
export function watch(watcher) {
  watchers.add(watcher);
  for (const job of known.values()) watcher(job);
}

/**
 * Start a job.
 * @param {string} kind
 * @param {Record<string, any>} [options]
 * @returns {Promise<Job>}
 */
export async function start(kind, options = {}) {
  const job = await api("/api/jobs", { body: { kind, ...options } });
  channel?.postMessage("started");
  take([job]);
  plan();
  return job;
}

/** Stop a job at its next step. @param {string} id */
export async function cancel(id) {
  take([await api(`/api/jobs/${id}/cancel`, { body: {} })]);
}

/** Return a job with what came out. @param {string} id @returns {Promise<Job>} */
export function whole(id) {
  return api(`/api/jobs/${id}`);
}

/** @param {Job} job */
export function runs(job) {
  return job.state === "running";
}

/** How far a job is, in words. @param {Job} job */
export function far(job) {
  if (job.is_stopping) return "stopping …";
  if (!job.stage) return "starting …";
  const total = job.total === null ? "" : `/${job.total.toLocaleString("en")}`;
  const unit = job.total === 1 ? job.unit : `${job.unit}s`;
  return `${job.stage}: ${job.done.toLocaleString("en")}${total} ${unit}`;
}

/**
 * Return a bar of how far a job is.
 * @param {Job} job
 */
export function bar(job) {
  const value = job.share === null ? null : job.share.toFixed(3);
  return h("progress", { max: 1, value, "aria-label": `${job.title}: ${far(job)}` });
}

/** @param {Job[]} jobs */
function take(jobs) {
  for (const job of jobs) {
    const before = known.get(job.id);
    known.set(job.id, job);
    if (before && JSON.stringify(before) === JSON.stringify(job)) continue;
    if (before && runs(before) && !runs(job)) say(job);
    for (const watcher of watchers) watcher(job);
  }
  show();
}

/** @param {Job} job that has ended while somebody looked on */
function say(job) {
  if (job.state === "done") notice(`${job.title}: done in ${job.seconds} s`, { kind: "good" });
  else if (job.state === "cancelled") notice(`${job.message || `${job.title} was cancelled.`} ${job.hint}`);
  else notice(`${job.title}: ${job.message} ${job.hint}`, { kind: "bad", seconds: 20 });
}

function show() {
  const running = [...known.values()].filter(runs);
  const holder = by("jobs");
  if (!running.length) {
    holder.replaceChildren();
    return;
  }
  const job = running[0];
  const more = running.length > 1 ? ` (+${running.length - 1})` : "";
  const stop = () => void cancel(job.id).catch(failed);
  // What stays is left where it is, so that the button keeps the focus.
  const old = holder.querySelector("button");
  const button =
    old && old.dataset.job === job.id
      ? old
      : h("button", { type: "button", class: "quiet", "data-job": job.id, "aria-label": `Cancel ${job.title}`, onclick: stop }, "Cancel");
  button.disabled = job.is_stopping || role !== "editor";
  const text = h("span", { class: "far", title: job.title }, `${far(job)}${more}`);
  if (old === button) {
    for (const child of [...holder.children]) if (child !== button) child.remove();
    button.before(bar(job), text);
  } else holder.replaceChildren(bar(job), text, button);
}

function plan() {
  clearTimeout(timer);
  timer = undefined;
  if (![...known.values()].some(runs)) return;
  timer = setTimeout(look, document.hidden ? 4 * EVERY : EVERY);
}

async function look() {
  try {
    const { jobs } = await api("/api/jobs");
    const ids = new Set(jobs.map((/** @type {Job} */ job) => job.id));
    for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
    take(jobs);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
  plan();
}

if (channel) channel.onmessage = () => void look();
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) void look();
});
document.addEventListener("back", () => void look());
void look();
