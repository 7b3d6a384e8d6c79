/** The page of one stream. */

import { get, of, repeat } from "./api.js";
import { Confusion } from "./confusion.js";
import { Charts } from "./charts.js";
import { announce, h, paced, put } from "./dom.js";
import { saveAs } from "./download.js";
import { Feed } from "./feed.js";
import { horizonsOf } from "./forecast.js";
import { count } from "./format.js";
import { Header } from "./header.js";
import { Notable, Quality, Signals } from "./panels.js";
import { Reading } from "./reading.js";
import { Series, columns, featuresOf, suitsTime } from "./series.js";
import { Toolbar } from "./toolbar.js";
import { Travel } from "./travel.js";
import { indexesIn, parseView } from "./view.js";

const DRAW_EVERY_MS = 100;
const STATE_EVERY_MS = 2_000;
const QUALITY_EVERY_MS = 5_000;

export class StreamPage {
  constructor(name, setLink, query) {
    this._name = name;
    this._setLink = setLink;
    this._travel = new Travel(name, query, () => this._draw());
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
      expired: (oldest, missed) => this._expired(oldest, missed),
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
    const { axis } = this._travel.view;
    this._travel.view = parseView(query);
    if (this._travel.view.axis !== axis) this._remake();
    this._redraw();
  }

  /** @returns {boolean} whether the key was one of ours */
  key(event) {
    const pauses = event.key === "p" || (event.key === " " && event.target === document.body);
    if (!pauses) return this._travel.key(event);
    this._togglePause();
    return true;
  }

  _build() {
    this._header = new Header(this._name);
    this._toolbar = new Toolbar({
      last: (n) => this._travel.show({ fixed: null, last: n }),
      feature: (feature) => this._travel.show({ feature }),
      horizon: (horizon) => this._travel.show({ horizon }),
      axis: (axis) => {
        this._travel.show({ axis, fixed: null });
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
    this._confusion = new Confusion();
    this._wait = h("p", { class: "loading", role: "status" }, "Loading …");
    const parted = [this._notable, this._signals, this._quality, this._confusion];
    const panels = parted.map(({ element }) => element);
    const figures = [this._reading.value.element, this._reading.score.element];
    const content = [this._toolbar.element, ...figures, h("div", { class: "panels" }, ...panels)];
    this._body = h("div", { class: "body", hidden: true }, ...content);
    const parts = [this._header.element, this._notes, this._wait, this._body];
    this.element = h("div", { class: "stream" }, ...parts);
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
    const idle = () => document.hidden || this._link === "lost";
    repeat(STATE_EVERY_MS, () => this._describe(signal), idle, signal);
    repeat(QUALITY_EVERY_MS, () => this._judge(signal), idle, signal);
  }

  async _describe(signal) {
    const [stream, state] = await Promise.all([
      get(of(this._name), signal),
      get(of(this._name, "/state"), signal),
    ]);
    this._stream = stream;
    this._state = state;
    if (Number.isNaN(this._updatedAt)) this._updatedAt = Date.parse(state.received_at) / 1000;
    this._header.describe(stream);
    this._signals.update(state.signals ?? {});
    this._feed.stands(state.offset);
    if (state.offset === 0) this._empty();
    this._redraw();
  }

  async _judge(signal) {
    const metrics = await get(of(this._name, "/metrics"), signal);
    this._quality.update(metrics);
    this._confusion.update(metrics);
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
    const suited = suitsTime(this._series.items) ? "time" : "event";
    this._travel.axis = this._travel.view.axis ?? suited;
    this._travel.columns = null;
    const { value, score } = this._reading;
    this._charts = new Charts(value.host, score.host, this._travel.axis, {
      cursor: (index) => this._reading.point(index),
      select: (range) => this._travel.show({ fixed: range }),
      reset: () => this._travel.follow(),
    });
    this._redraw();
  }

  _draw() {
    if (this._abort.signal.aborted) return;
    this._tick();
    if (!this._charts) return;
    const { view, axis } = this._travel;
    const threshold = this._stream?.spec.threshold ?? null;
    const items = this._paused ?? this._series.items;
    const features = featuresOf(items);
    const feature = features.includes(view.feature) ? view.feature : (features[0] ?? null);
    const horizons = horizonsOf(items);
    const horizon = horizons.includes(view.horizon) ? view.horizon : (horizons[0] ?? 1);
    const c = columns(items, feature, axis, horizon);
    this._travel.columns = c;
    const range = this._travel.range;
    this._drawn = { items, feature, sight: indexesIn(c.x, range), columns: c };
    this._charts.show(c, range, threshold);
    this._reading.show(this._drawn, threshold, axis);
    this._notable.update(items);
    const waiting = this._paused && this._series.last - this._paused.at(-1).result.offset;
    this._toolbar.choices(features, feature, horizons, horizon);
    this._toolbar.update(view, axis, waiting);
  }

  /** What changes with time alone. */
  _tick() {
    if (!this._state) return;
    const newest = this._series.items.at(-1)?.result;
    const age = Date.now() / 1000 - this._updatedAt;
    this._header.update(this._state, newest, age);
  }

  _showOffset(offset) {
    const items = this._paused ?? this._series.items;
    const index = items.findIndex(({ result }) => result.offset === offset);
    if (index < 0) return;
    this._travel.center(index);
    announce(`Event ${offset}`);
  }

  _togglePause() {
    this._paused = this._paused ? null : [...this._series.items];
    if (!this._paused?.length) this._paused = null;
    this._linked(this._link);
    this._redraw();
  }

  _save(kind) {
    if (this._drawn) saveAs(kind, this._name, this._drawn);
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

  _expired(oldest, missed) {
    const rest = `this goes on with event ${count(oldest)}, the oldest there is.`;
    this._note(`${count(missed)} results are no longer kept; ${rest}`);
  }

  _anew() {
    this._series.clear();
    this._paused = null;
    this._updatedAt = NaN;
    this._note("This stream was deleted and made anew; what was here before is gone.");
    this._redraw();
  }

  _empty() {
    if (this._body.hidden)
      this._wait.textContent = "No events yet. The first one appears here as soon as it is posted.";
  }

  _gone() {
    this._feed.stop();
    this._abort.abort();
    this._wait.hidden = true;
    this._setLink("gone", "");
    this._note("There is no stream of this name. It may have been deleted.");
  }
}
