/** The two charts of a stream: the value with what was expected, and the score. */

import { palette } from "./dom.js";
import { drawMarks, drawStates, drawWarming } from "./marks.js";
import { indexesIn } from "./view.js";

const { uPlot } = window;
const SYNC = "stream";
const FONT = "12px system-ui, sans-serif";
const GUTTER = 62;
/** Above so many events in sight, lines are as thin as they are drawn fastest. */
const DENSE = 2_000;
const LINES = ["expected", "lower", "upper"];

export class Charts {
  /**
   * @param {HTMLElement} valueHost
   * @param {HTMLElement} scoreHost
   * @param {"time" | "event"} axis
   * @param {{cursor: (index: number | null) => void, select: (range: [number, number]) => void, reset: () => void}} listener
   */
  constructor(valueHost, scoreHost, axis, listener) {
    this._listener = listener;
    this._columns = null;
    this._threshold = null;
    this._hosts = [valueHost, scoreHost];
    this._colors = palette();
    this._range = [0, 1];
    this.value = this._make(valueHost, axis, 2, this._valueSeries(), {
      bands: [{ series: [4, 3], fill: () => this._colors.band }],
    });
    this.score = this._make(scoreHost, axis, 1, this._scoreSeries(), {});
    this._observer = new ResizeObserver(() => this._resize());
    this._observer.observe(valueHost);
    this._repaint = () => {
      this._colors = palette();
      for (const chart of [this.value, this.score]) chart.redraw(false, true);
    };
    addEventListener("themechange", this._repaint);
  }

  destroy() {
    this._observer.disconnect();
    removeEventListener("themechange", this._repaint);
    this.value.destroy();
    this.score.destroy();
  }

  /** Draw these columns within this range. */
  show(columns, range, threshold) {
    this._columns = columns;
    this._threshold = threshold;
    this._range = range;
    const { x, value, expected, lower, upper, score, ahead } = columns;
    const [from, to] = indexesIn(x, range);
    for (const series of [this.value.series[1], this.value.series[2], this.score.series[1]])
      series.width = to - from > DENSE ? 1 : 1.4;
    const on = (seen, key) => (ahead.length ? [...seen, ...ahead.map((each) => each[key])] : seen);
    const xs = on(x, "x");
    const lines = [expected, lower, upper].map((line, i) => on(line, LINES[i]));
    this._draw(this.value, [xs, on(value, "value"), ...lines]);
    this._draw(this.score, [xs, on(score, "score")]);
  }

  _draw(chart, data) {
    chart.batch(() => {
      chart.setData(data, false);
      chart.setScale("x", { min: this._range[0], max: this._range[1] });
    });
  }

  _make(host, axis, kind, series, more) {
    const options = {
      width: Math.max(host.clientWidth, 200),
      height: host.clientHeight || 200,
      legend: { show: false },
      padding: [14, 14, 0, 0],
      scales: {
        x: { time: axis === "time" },
        y: kind === 1 ? { range: [0, 1.04] } : { range: padded },
      },
      axes: this._axes(axis, kind),
      series,
      cursor: {
        sync: { key: SYNC, setSeries: false },
        drag: { x: true, y: false, setScale: false },
        points: { size: 7 },
        bind: { dblclick: () => () => this._listener.reset() },
      },
      hooks: {
        drawClear: [(u) => this._columns && drawWarming(u, this._columns, this._colors)],
        draw: [
          (u) => this._columns && drawMarks(u, this._columns, this._colors, kind, this._threshold),
          (u) => kind === 1 && this._columns && drawStates(u, this._columns, this._colors),
        ],
        setCursor: [(u) => this._listener.cursor(u.cursor.idx ?? null)],
        setSelect: [(u) => this._select(u)],
      },
      ...more,
    };
    return new uPlot(options, [[], ...series.slice(1).map(() => [])], host);
  }

  _valueSeries() {
    const edge = { auto: false, points: { show: false }, width: 0, stroke: "transparent" };
    return [
      {},
      {
        stroke: () => this._colors.ink,
        width: 1.4,
        points: { show: lonely, size: 5, fill: () => this._colors.ink },
      },
      { stroke: () => this._colors.accent, width: 1.4, dash: [5, 4], points: { show: false } },
      { ...edge },
      { ...edge },
    ];
  }

  _scoreSeries() {
    return [
      {},
      {
        stroke: () => this._colors.accent,
        width: 1.4,
        fill: () => this._colors.band,
        points: { show: lonely, size: 5 },
      },
    ];
  }

  _axes(axis, kind) {
    const common = {
      stroke: () => this._colors.muted,
      grid: { stroke: () => this._colors.line, width: 1 },
      ticks: { show: false },
      font: FONT,
    };
    const below = { ...common, space: 90, size: axis === "time" ? 44 : 30 };
    if (axis === "time") below.values = (_, splits, __, ___, step) => timeLabels(splits, step);
    else below.values = (_, splits) => splits.map((v) => (Number.isInteger(v) ? String(v) : ""));
    const left = { ...common, size: GUTTER, space: 34, gap: 8 };
    if (kind === 1) left.splits = () => [0, 0.25, 0.5, 0.75, 1];
    left.values = (_, splits) => splits.map(short);
    return [below, left];
  }

  _select(u) {
    if (u.select.width < 4) return;
    const range = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    // Both charts hear of it, one after the other: neither may move before both have read it.
    queueMicrotask(() => this._listener.select(range));
  }

  _resize() {
    [this.value, this.score].forEach((chart, i) => {
      const { clientWidth: width, clientHeight: height } = this._hosts[i];
      if (width && height && (width !== chart.width || height !== chart.height))
        chart.setSize({ width, height });
    });
  }
}

/** A point is drawn where no line is: with few events in sight. */
function lonely(u, _, from, to) {
  return to - from < 40;
}

function padded(_, low, high) {
  if (low === null || high === null) return [0, 1];
  const room = (high - low || Math.abs(high) || 1) * 0.12;
  return [low - room, high + room];
}

function short(v) {
  const size = Math.abs(v);
  if (size >= 1e6 || (size > 0 && size < 1e-3)) return v.toExponential(1);
  return String(Number(v.toPrecision(6))).replace("-", "−");
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (n) => String(n).padStart(2, "0");

/** Times in UTC, with the date under the first and wherever it changes. */
export function timeLabels(splits, step) {
  let before = "";
  return splits.map((t) => {
    const d = new Date(t * 1000);
    const year = String(d.getUTCFullYear());
    const day = `${MONTHS[d.getUTCMonth()]} ${d.getUTCDate()}`;
    let [above, under] = [day, year];
    if (step < 86_400) {
      above = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`;
      if (step < 60) above += `:${two(d.getUTCSeconds())}`;
      if (step < 1) above += `.${String(d.getUTCMilliseconds()).padStart(3, "0")}`;
      under = `${day}, ${year}`;
    }
    const told = under === before;
    before = under;
    return told ? above : `${above}\n${under}`;
  });
}
