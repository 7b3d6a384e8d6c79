/** What part of a stream is looked at: kept in the address, so that it can be sent to someone. */

import { indexAt } from "./series.js";

export const LASTS = [100, 500, 2_000, 10_000];
const DEFAULT_LAST = 500;
const AROUND = 60;

/**
 * @typedef {object} View
 * @property {number} last how many events, while following the newest
 * @property {[number, number] | null} fixed from and to, in the unit of the axis
 * @property {string | null} feature
 * @property {number | null} horizon of the forecasts that stand at their events; null is the nearest
 * @property {"time" | "event" | null} axis null leaves it to the data
 */

/** Read a view from the query of the address; what makes no sense is left out. @returns {View} */
export function parseView(query) {
  const asked = new URLSearchParams(query);
  const last = Number(asked.get("last"));
  const axis = ["time", "event"].includes(asked.get("axis")) ? asked.get("axis") : null;
  const read = (text) => (axis === "event" ? Number(text ?? NaN) : Date.parse(text ?? "") / 1000);
  const [from, to] = [read(asked.get("from")), read(asked.get("to"))];
  const fixed = from < to ? [from, to] : null;
  const horizon = Number(asked.get("horizon"));
  return {
    last: LASTS.includes(last) ? last : DEFAULT_LAST,
    fixed,
    feature: asked.get("feature"),
    horizon: Number.isInteger(horizon) && horizon > 0 ? horizon : null,
    axis: axis ?? (fixed ? "time" : null),
  };
}

/** Write a view as the query of an address. */
export function formatView(view, axis) {
  const query = new URLSearchParams();
  if (view.feature !== null) query.set("feature", view.feature);
  if (view.horizon !== null) query.set("horizon", String(view.horizon));
  if (view.fixed) {
    const write = (v) =>
      axis === "event" ? String(Math.round(v)) : new Date(v * 1000).toISOString();
    query.set("from", write(view.fixed[0]));
    query.set("to", write(view.fixed[1]));
    query.set("axis", axis);
  } else {
    if (view.last !== DEFAULT_LAST) query.set("last", String(view.last));
    if (view.axis) query.set("axis", view.axis);
  }
  return query.toString();
}

/**
 * The range of x that a view shows: as far as forecasts reach, when it follows the newest.
 * @returns {[number, number]}
 */
export function rangeOf(view, x, ahead = []) {
  if (view.fixed) return view.fixed;
  if (!x.length) return [0, 1];
  const to = ahead.at(-1)?.x ?? x[x.length - 1];
  const from = x[Math.max(0, x.length - view.last)];
  return from < to ? [from, to] : [to - 0.5, to + 0.5];
}

/** The indexes `[from, to)` of what lies in a range. */
export function indexesIn(x, [from, to]) {
  let end = indexAt(x, to);
  while (end < x.length && x[end] <= to) end += 1;
  return [indexAt(x, from), end];
}

/** Move a range by a share of its width, but not off the data. @returns {[number, number]} */
export function moved([from, to], share, x) {
  const width = to - from;
  const low = Math.min(x[0], x[x.length - 1] - width);
  const start = Math.min(
    Math.max(from + share * width, low),
    Math.max(low, x[x.length - 1] - width),
  );
  return [start, start + width];
}

/** Make a range narrower or wider about its middle. @returns {[number, number]} */
export function zoomed([from, to], factor, x) {
  const middle = (from + to) / 2;
  const half = ((to - from) * factor) / 2;
  if (x.length > 1 && 2 * half >= x[x.length - 1] - x[0]) return [x[0], x[x.length - 1]];
  return [middle - half, middle + half];
}

/** A range about one event, wide enough to see what led to it. @returns {[number, number]} */
export function around(x, index) {
  const before = x[index] - x[Math.max(0, index - AROUND)];
  const after = x[Math.min(x.length - 1, index + AROUND)] - x[index];
  const half = Math.max(before, after, 1e-3);
  return [x[index] - half, x[index] + half];
}

/** The index of the next anomaly or drift beyond a place, in a direction; or undefined. */
export function nextMark({ x, anomalies, drifts }, place, direction) {
  const marks = [...anomalies, ...drifts].sort((a, b) => a - b);
  if (direction > 0) return marks.find((i) => x[i] > place + 1e-6);
  return marks.findLast((i) => x[i] < place - 1e-6);
}
