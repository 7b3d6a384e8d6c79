/** The results a page holds, bounded, and as columns to draw. */

import { Hindsight, beyond } from "./forecast.js";

/** The most results a page keeps; as many as the service does by default. */
export const KEPT = 10_000;
const SLACK = 500;

/** Results in the order of their offsets, without a gap but where the service had none to give. */
export class Series {
  constructor() {
    /** @type {{result: any, t: number}[]} */
    this.items = [];
  }

  get first() {
    return this.items.length ? this.items[0].result.offset : null;
  }

  get last() {
    return this.items.length ? this.items[this.items.length - 1].result.offset : null;
  }

  clear() {
    this.items = [];
  }

  /** Take newer results; the oldest make room for them. */
  append(results) {
    for (const result of results) this.items.push(timed(result));
    if (this.items.length > KEPT + SLACK) this.items.splice(0, this.items.length - KEPT);
  }

  /** Take results that end where ours begin, as far as there is room. */
  prepend(results) {
    if (results.at(-1)?.offset !== this.first - 1) return;
    const room = Math.max(0, KEPT - this.items.length);
    const fitting = room ? results.slice(-room) : [];
    this.items = [...fitting.map(timed), ...this.items];
  }
}

function timed(result) {
  return { result, t: Date.parse(result.ts) / 1000 };
}

/** The names of the features, numbers first as they come; text cannot be drawn. */
export function featuresOf(items) {
  const found = new Map();
  const step = Math.max(1, Math.floor(items.length / 200));
  for (let i = items.length - 1; i >= 0; i -= step) {
    const { x, expected_values: expected } = items[i].result;
    for (const [name, v] of Object.entries(x ?? expected ?? {})) {
      if (typeof v === "number") found.set(name, true);
      else if (!found.has(name)) found.set(name, false);
    }
  }
  return [...found].filter(([, numeric]) => numeric).map(([name]) => name);
}

/** The feature that forecasts are about: they are made for one, which they do not name. */
function forecastFeature(items) {
  for (let i = items.length - 1; i >= 0; i -= 1) {
    const { forecast, expected_values: expected } = items[i].result;
    if (forecast && expected) return Object.keys(expected)[0] ?? null;
  }
  const features = featuresOf(items);
  return features.length === 1 ? features[0] : null;
}

/** Say whether times tell events apart; where many came at once, their numbers do it better. */
export function suitsTime(items) {
  let same = 0;
  for (let i = 1; i < items.length; i += 1) same += items[i].t <= items[i - 1].t ? 1 : 0;
  return items.length < 3 || same < items.length * 0.3;
}

const numeric = (v) => (typeof v === "number" ? v : null);

/**
 * What the charts draw, one entry an event, and what is expected beyond the newest. A forecast
 * stands at the event it was about; a late event was not expected at all.
 * @param {{result: any, t: number}[]} items
 * @param {string | null} feature
 * @param {"time" | "event"} axis
 * @param {number} horizon how many events before an event its forecast was made
 */
export function columns(items, feature, axis, horizon) {
  const c = {
    x: [],
    value: [],
    expected: [],
    lower: [],
    upper: [],
    score: [],
    anomalies: [],
    drifts: [],
    warming: [],
    states: [],
    ahead: [],
  };
  const forecasts = feature !== null && forecastFeature(items) === feature;
  const hindsight = new Hindsight(horizon);
  let latest = -Infinity;
  for (let i = 0; i < items.length; i += 1) {
    const { result, t } = items[i];
    latest = axis === "event" ? result.offset : Math.max(latest, t);
    const made = forecasts ? hindsight.about(result) : null;
    const next = horizon === 1 ? numeric(result.expected_values?.[feature]) : null;
    c.x.push(latest);
    c.value.push(feature === null ? null : numeric(result.x?.[feature]));
    c.expected.push(next ?? numeric(made?.yhat));
    c.lower.push(numeric(made?.yhat_lower));
    c.upper.push(numeric(made?.yhat_upper));
    c.score.push(numeric(result.anomaly_score));
    if (result.is_anomaly) c.anomalies.push(i);
    if (result.drift?.length) c.drifts.push(i);
    markWarming(c.warming, result.learning === "warming", i);
    markState(c.states, result.learning, i);
  }
  if (forecasts) c.ahead = beyond(items, c.x, axis);
  return c;
}

/** Keep the stretches `[from, to]` in which the stream was warming. */
function markWarming(stretches, warming, i) {
  if (!warming) return;
  const last = stretches[stretches.length - 1];
  if (last && last[1] === i - 1) last[1] = i;
  else stretches.push([i, i]);
}

/** Keep the stretches `[from, to, state]` of what the stream's learning did. */
function markState(stretches, state, i) {
  const last = stretches[stretches.length - 1];
  if (last && last[2] === state) last[1] = i;
  else stretches.push([i, i, state]);
}

/** The first index whose x is at least `at`. */
export function indexAt(x, at) {
  let [low, high] = [0, x.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle] < at) low = middle + 1;
    else high = middle;
  }
  return low;
}
