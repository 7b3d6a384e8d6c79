/** The two charts in words: what the cursor points at, a summary, and their tables. */

import { Figure } from "./figure.js";
import { count, score, time, value } from "./format.js";

const band = (lower, upper) => `${value(lower)} … ${value(upper)}`;

export class Reading {
  constructor() {
    this.value = new Figure(
      "value",
      "Value",
      [
        ["observed", "observed"],
        ["expected", "expected"],
        ["band", "band"],
        ["anomaly", "anomaly"],
        ["drift", "drift"],
      ],
      ["Event", "Time, UTC", "Observed", "Expected", "Low", "High", "Mark"],
    );
    this.score = new Figure(
      "score",
      "Anomaly score",
      [
        ["line", "score"],
        ["threshold", "threshold"],
        ["state learning", "learning"],
        ["state paused", "paused"],
        ["state warming", "warming"],
      ],
      ["Event", "Time, UTC", "Score", "Raw score", "State", "Mark"],
    );
    this._index = null;
  }

  /** Point at an event; null points at the newest in sight. */
  point(index) {
    this._index = index;
    this._read();
  }

  show(drawn, threshold, axis) {
    this._drawn = drawn;
    this._columns = drawn.columns;
    this._threshold = threshold;
    this.value.title.textContent = drawn.feature ?? "Value";
    this.value.tell(this._valueSummary(), (most) => this._rows(most, (i) => this._valueCells(i)));
    this.score.tell(this._scoreSummary(), (most) => this._rows(most, (i) => this._scoreCells(i)));
    this._axis = axis;
    this._read();
  }

  _read() {
    if (!this._drawn) return;
    const { items, sight } = this._drawn;
    const i = this._index ?? sight[1] - 1;
    const ahead = this._columns.ahead[i - items.length];
    if (ahead) return this._readAhead(ahead);
    const item = items[i];
    if (!item) {
      this.value.read([["Nothing in this range", ""]]);
      this.score.read([]);
      return;
    }
    const { value: v, expected, lower, upper, score: s } = this._columns;
    const at = [this._axis === "event" ? `Event ${count(item.result.offset)}` : time(item.t), ""];
    const pairs = [at, ["observed", v[i] === null ? "–" : value(v[i])]];
    if (expected[i] !== null) pairs.push(["expected", value(expected[i])]);
    if (lower[i] !== null) pairs.push(["band", band(lower[i], upper[i])]);
    this.value.read(pairs);
    const raw = item.result.raw_score;
    this.score.read([
      ["score", score(s[i])],
      ["raw", typeof raw === "number" ? value(raw) : "–"],
      ["threshold", score(this._threshold)],
    ]);
  }

  _readAhead({ horizon, expected, lower, upper }) {
    const events = horizon === 1 ? "1 event ahead" : `${count(horizon)} events ahead`;
    this.value.read([[events, ""], ["expected", value(expected)], ["band", band(lower, upper)]]);
    this.score.read([]);
  }

  _rows(most, cells) {
    const [from, to] = this._drawn.sight;
    const rows = [];
    for (let i = to - 1; i >= Math.max(from, to - most); i -= 1) rows.push(cells(i));
    return rows;
  }

  _mark(i) {
    const { result } = this._drawn.items[i];
    const marks = [
      result.is_anomaly && "anomaly",
      result.drift?.length && "drift",
      result.late && "late",
    ].filter(Boolean);
    return marks.join(", ");
  }

  _valueCells(i) {
    const { items } = this._drawn;
    const c = this._columns;
    const mark = this._mark(i);
    const number = (v) => (v === null ? "–" : value(v));
    return {
      mark,
      cells: [
        String(items[i].result.offset),
        time(items[i].t),
        number(c.value[i]),
        number(c.expected[i]),
        number(c.lower[i]),
        number(c.upper[i]),
        mark,
      ],
    };
  }

  _scoreCells(i) {
    const { result, t } = this._drawn.items[i];
    const mark = this._mark(i);
    return {
      mark,
      cells: [
        String(result.offset),
        time(t),
        score(result.anomaly_score),
        value(result.raw_score),
        result.paused_by ? `paused: ${result.paused_by}` : result.learning,
        mark,
      ],
    };
  }

  _valueSummary() {
    const {
      sight: [from, to],
      feature,
    } = this._drawn;
    const seen = this._columns.value.slice(from, to).filter((v) => v !== null);
    if (!seen.length) return "No values in this range.";
    let [low, high] = [Infinity, -Infinity];
    for (const v of seen) [low, high] = [Math.min(low, v), Math.max(high, v)];
    return `${feature}: ${count(to - from)} events, from ${value(low)} to ${value(high)}, last ${value(seen.at(-1))}.`;
  }

  _scoreSummary() {
    const {
      items,
      sight: [from, to],
    } = this._drawn;
    const newest = items[to - 1]?.result;
    if (!newest) return "No scores in this range.";
    if (newest.anomaly_score === null) return "No score yet: the stream is warming up.";
    let above = 0;
    while (above < to - from && items[to - 1 - above].result.is_anomaly) above += 1;
    const where = above
      ? `at or above ${score(this._threshold)} for ${count(above)} events`
      : `below ${score(this._threshold)}`;
    const anomalies = this._columns.anomalies.filter((i) => i >= from && i < to).length;
    return `Score ${score(newest.anomaly_score)}, ${where}; ${count(anomalies)} anomalies in this range.`;
  }
}
