/** Forecasts: at the events they were about, and beyond the newest one. */

const RECENT = 20;

const numeric = (v) => (typeof v === "number" ? v : null);

/** The newest result that forecasts anything, or undefined. */
function newestForecast(items) {
  const at = items.findLastIndex(({ result }) => result.forecast?.length && !result.late);
  return at < 0 ? undefined : items[at].result.forecast;
}

/** How many events ahead forecasts reach, nearest first. @returns {number[]} */
export function horizonsOf(items) {
  return (newestForecast(items) ?? []).map(({ horizon }) => horizon);
}

/**
 * Hands each event the forecast that was made for it, `horizon` events before. Late events are not
 * learned from, so no forecast counts them.
 */
export class Hindsight {
  /** @param {number} horizon */
  constructor(horizon) {
    this._horizon = horizon;
    this._made = [];
    this._before = null;
  }

  /** @returns {{yhat: number, yhat_lower: number, yhat_upper: number} | null} */
  about(result) {
    if (this._before !== result.offset - 1) this._made = [];
    this._before = result.offset;
    if (result.late) return null;
    const forecast = result.forecast?.find(({ horizon }) => horizon === this._horizon) ?? null;
    this._made.push(forecast);
    return this._made.length > this._horizon ? this._made.shift() : null;
  }
}

/**
 * What is expected after the newest event, a point for each horizon. On the axis of time, events are
 * taken to come as far apart as the last ones did.
 * @param {{result: any, t: number}[]} items
 * @param {number[]} x of the items
 * @param {"time" | "event"} axis
 */
export function beyond(items, x, axis) {
  const newest = items.at(-1)?.result;
  const gap = axis === "event" ? 1 : usualGap(x);
  if (!newest?.forecast || newest.late || !gap) return [];
  return newest.forecast.map(({ horizon, yhat, yhat_lower, yhat_upper }) => ({
    x: x[x.length - 1] + horizon * gap,
    horizon,
    value: null,
    score: null,
    expected: numeric(yhat),
    lower: numeric(yhat_lower),
    upper: numeric(yhat_upper),
  }));
}

/** The median distance of the last events, 0 if they all came at once. */
function usualGap(x) {
  const gaps = [];
  for (let i = Math.max(1, x.length - RECENT); i < x.length; i += 1) gaps.push(x[i] - x[i - 1]);
  return gaps.sort((a, b) => a - b)[gaps.length >> 1] ?? 0;
}
