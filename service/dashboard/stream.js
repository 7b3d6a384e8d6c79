/** The page of one stream. */

import { Failure, get, of, pause } from "./api.js";
import { Charts } from "./charts.js";
import { announce, h, paced, put } from "./dom.js";
import { save, toCsv } from "./download.js";
import { Feed } from "./feed.js";
import { count } from "./format.js";
import { Header } from "./header.js";
import { Notable, Quality, Signals } from "./panels.js";
import { Reading } from "./reading.js";
import { Series, columns, featuresOf, suitsTime } from "./series.js";
import { Toolbar } from "./toolbar.js";
import { formatView, indexesIn, moved, parseView, rangeOf, zoomed } from "./view.js";

const DRAW_EVERY_MS = 100;
const STATE_EVERY_MS = 2_000;
const QUALITY_EVERY_MS = 5_000;

export class StreamPage {
  constructor(name, setLink, query) {
    this._name = name;
    this._setLink = setLink;
    this._view = parseView(query);
    this._series = new Series();
    this._stream = null;
    this._state = null;
    this._paused = null;
    this._link = "loading";
    this._updatedAt = NaN;
    this._abort = new AbortController();
    this._redraw = paced(() => this._draw(), DRAW_EVERY_MS);
    this._build();
    this._feed = new Feed(name, {
      newer: (results) => this._newer(results),
      older: (results) => this._older(results),
      link: (state) => this._linked(state),
      expired: (oldest, missed) => this._note(`${count(missed)} results are no longer kept; this goes on with event ${count(oldest)}, the oldest there is.`),
      anew: () => this._anew(),
      gone: () => this._gone(),
    });
    this._clock = setInterval(() => this._tick(), 1_000);
    this._run();
  }

  stop() {
    clearInterval(this._clock);
    this._abort.abort();
    this._feed.stop();
    this._charts?.destroy();
  }

  /** Take over a view from the address. */
  query(query) {
    const axis = this._view.axis;
    this._view = parseView(query);
    if (this._view.axis !== axis) this._remake();
    this._redraw();
  }

  key(event) {
    const keys = {
      p: () => this._togglePause(),
      " ": () => event.target === document.body && this._togglePause(),
      ArrowLeft: () => this._move((range, x) => moved(range, -0.25, x)),
      ArrowRight: () => this._move((range, x) => moved(range, 0.25, x)),
      "+": () => this._move((range, x) => zoomed(range, 0.5, x)),
      "=": () => this._move((range, x) => zoomed(range, 0.5, x)),
      "-": () => this._move((range, x) => zoomed(range, 2, x)),
      0: () => this._follow(),
      n: () => this._jump(1),
      b: () => this._jump(-1),
    };
    return event.key in keys && keys[event.key]() !== false;
  }

  _build() {
    this._header = new Header(this._name);
    this._toolbar = new Toolbar({
      last: (n) => this._show({ fixed: null, last: n }),
      feature: (feature) => this._show({ feature }),
      axis: (axis) => {
        this._show({ axis, fixed: null });
        this._remake();
      },
      pause: () => this._togglePause(),
      save: (kind) => this._save(kind),
    });
    this._notes = h("p", { class: "notice", role: "status", hidden: true });
    this._reading = new Reading();
    this._notable = new Notable((offset) => this._showOffset(offset));
    this._signals = new Signals();
    this._quality = new Quality();
    this._wait = h("p", { class: "loading", role: "status" }, "Loading …");
    const panels = h("div", { class: "panels" }, this._notable.element, this._signals.element, this._quality.element);
    this._body = h("div", { class: "body", hidden: true }, this._toolbar.element, this._reading.value.element, this._reading.score.element, panels);
    this.element = h("div", { class: "stream" }, this._header.element, this._notes, this._wait, this._body);
  }

  async _run() {
    const signal = this._abort.signal;
    try {
      await this._describe(signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 404) return this._gone();
      this._linked("lost");
    }
    this._feed.run();
    this._poll(STATE_EVERY_MS, () => this._describe(signal));
    this._poll(QUALITY_EVERY_MS, async () => this._quality.update(await get(of(this._name, "/metrics"), signal)));
  }

  /** Do something now and again; what the service cannot answer now it may later. */
  async _poll(everyMs, work) {
    const signal = this._abort.signal;
    while (!signal.aborted) {
      if (!document.hidden && this._link !== "lost") {
        try {
          await work();
        } catch (error) {
          if (!(error instanceof Failure) && !signal.aborted) throw error;
          if (error.status === 404 && everyMs === QUALITY_EVERY_MS) return;
        }
      }
      await pause(everyMs, signal);
    }
  }

  async _describe(signal) {
    const [stream, state] = await Promise.all([get(of(this._name), signal), get(of(this._name, "/state"), signal)]);
    this._stream = stream;
    this._state = state;
    if (Number.isNaN(this._updatedAt)) this._updatedAt = Date.parse(state.received_at) / 1000;
    this._header.describe(stream);
    this._signals.update(state.signals ?? {});
    this._feed.stands(state.offset);
    if (state.offset === 0) this._empty();
    this._redraw();
  }

  _newer(results) {
    const begun = this._series.last !== null;
    this._series.append(results);
    this._header.note(results);
    if (begun) this._updatedAt = Date.now() / 1000;
    if (!begun) this._first();
    this._redraw();
  }

  _older(results) {
    this._series.prepend(results);
    this._redraw();
  }

  _first() {
    this._wait.hidden = true;
    this._body.hidden = false;
    this._remake();
  }

  /** Charts are made for one kind of axis. */
  _remake() {
    if (this._body.hidden) return;
    this._charts?.destroy();
    this._axis = this._view.axis ?? (suitsTime(this._series.items) ? "time" : "event");
    this._columns = null;
    const { value, score } = this._reading;
    this._charts = new Charts(value.host, score.host, this._axis, {
      cursor: (index) => this._reading.point(index),
      select: (range) => this._show({ fixed: range }),
      reset: () => this._follow(),
    });
    this._redraw();
  }

  _draw() {
    if (this._abort.signal.aborted) return;
    this._tick();
    if (!this._charts) return;
    const items = this._paused ?? this._series.items;
    const features = featuresOf(items);
    const feature = features.includes(this._view.feature) ? this._view.feature : (features[0] ?? null);
    const c = columns(items, feature, this._axis);
    const range = rangeOf(this._view, c.x);
    this._columns = c;
    this._drawn = { items, feature, range, sight: indexesIn(c.x, range) };
    this._charts.show(c, range, this._stream?.spec.threshold ?? null);
    this._reading.show(this._drawn, c, this._stream?.spec.threshold ?? null, this._axis);
    this._notable.update(items);
    this._toolbar.update(this._view, features, feature, this._axis, this._paused && this._series.last - this._paused.at(-1).result.offset);
  }

  /** What changes with time alone. */
  _tick() {
    if (!this._state) return;
    const newest = this._series.items.at(-1)?.result;
    const age = Date.now() / 1000 - this._updatedAt;
    this._header.update(this._state, newest, age);
  }

  _show(change) {
    Object.assign(this._view, change);
    const query = formatView(this._view, this._axis);
    history.replaceState(null, "", `#/streams/${encodeURIComponent(this._name)}${query ? `?${query}` : ""}`);
    this._draw();
  }

  _follow() {
    this._show({ fixed: null });
  }

  _move(change) {
    if (!this._columns?.x.length) return;
    this._show({ fixed: change(rangeOf(this._view, this._columns.x), this._columns.x) });
  }

  /** Go to the next anomaly or drift in a direction. */
  _jump(direction) {
    if (!this._columns) return;
    const { x, anomalies, drifts } = this._columns;
    const [from, to] = rangeOf(this._view, x);
    const middle = this._view.fixed ? (from + to) / 2 : direction < 0 ? Infinity : -Infinity;
    const at = [...anomalies, ...drifts].sort((a, b) => a - b);
    const beyond = at.filter((i) => (direction > 0 ? x[i] > middle + 1e-6 : x[i] < middle - 1e-6));
    const next = direction > 0 ? beyond[0] : beyond.at(-1);
    if (next !== undefined) this._center(next);
  }

  _showOffset(offset) {
    const items = this._paused ?? this._series.items;
    const index = items.findIndex(({ result }) => result.offset === offset);
    if (index >= 0) this._center(index);
  }

  _center(index) {
    const { x } = this._columns;
    const around = 60;
    const half = Math.max(x[index] - x[Math.max(0, index - around)], x[Math.min(x.length - 1, index + around)] - x[index], 1e-3);
    this._show({ fixed: [x[index] - half, x[index] + half] });
    announce(`Event ${this._drawn.items[index].result.offset}`);
  }

  _togglePause() {
    this._paused = this._paused ? null : [...this._series.items];
    if (!this._paused?.length) this._paused = null;
    this._linked(this._link);
    this._redraw();
  }

  _save(kind) {
    if (!this._drawn) return;
    const { items, feature, sight } = this._drawn;
    const some = items.slice(...sight);
    const first = `${this._name}-${some[0]?.result.offset ?? 0}-${some.at(-1)?.result.offset ?? 0}`;
    if (kind === "json") return save(JSON.stringify(some.map(({ result }) => result), null, 1), `${first}.json`, "application/json");
    const part = Object.fromEntries(["expected", "lower", "upper"].map((name) => [name, this._columns[name].slice(...sight)]));
    return save(toCsv(some, part, feature), `${first}.csv`, "text/csv");
  }

  _linked(state) {
    if (state === "lost" && this._link !== "lost") announce("Connection lost, reconnecting");
    this._link = state;
    if (state === "loading") return;
    this._setLink(state === "live" && this._paused ? "paused" : state);
    put(this.element, "data-link", state);
  }

  _note(text) {
    this._notes.hidden = false;
    this._notes.textContent = text;
  }

  _anew() {
    this._series.clear();
    this._paused = null;
    this._updatedAt = NaN;
    this._note("This stream was deleted and made anew; what was here before is gone.");
    this._redraw();
  }

  _empty() {
    if (this._body.hidden) this._wait.textContent = "No events yet. The first one appears here as soon as it is posted.";
  }

  _gone() {
    this._feed.stop();
    this._abort.abort();
    this._wait.hidden = true;
    this._setLink("gone", "");
    this._note("There is no stream of this name. It may have been deleted.");
  }
}
