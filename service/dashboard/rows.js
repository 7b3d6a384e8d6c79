/** A list of any length, of which only the rows in sight are elements. */

import { h, put, say } from "./dom.js";
import { ago, count, score } from "./format.js";
import { drawScores } from "./spark.js";
import { badge, setBadge } from "./state.js";

const SLOTS = 48;
const MARGIN_ROWS = 4;
const HEADS = ["State", "Stream", "Recent scores", "Score", "Anomalies", "Last update"];

export class Rows {
  /**
   * @param {(item: any) => string} state
   * @param {() => number} now in seconds
   */
  constructor(state, now) {
    this._now = now;
    this._items = [];
    this._pool = [];
    this._chosen = null;
    this._height = 56;
    this._spacer = h("div", { class: "spacer", role: "rowgroup" });
    const heads = HEADS.map((text, i) =>
      h("span", { role: "columnheader", class: `cell c${i}`, "aria-colindex": i + 1 }, text),
    );
    this._head = h(
      "div",
      { role: "rowgroup", class: "headgroup" },
      h("div", { class: "head row-grid", role: "row", "aria-rowindex": 1 }, ...heads),
    );
    this.element = h(
      "div",
      {
        class: "rows",
        role: "grid",
        tabindex: "0",
        "aria-label": "Streams",
        "aria-colcount": HEADS.length,
        "aria-readonly": "true",
        onscroll: () => this._ask(),
        onfocus: () => this._focused(),
      },
      this._head,
      this._spacer,
    );
    this._observer = new ResizeObserver(() => this.measure());
    this._observer.observe(this.element);
    this._repaint = () => this._show(true);
    addEventListener("themechange", this._repaint);
  }

  stop() {
    this._observer.disconnect();
    removeEventListener("themechange", this._repaint);
  }

  /** Take the sizes the style sheet gives. */
  measure() {
    const style = getComputedStyle(this.element);
    this._height = parseFloat(style.getPropertyValue("--row")) || 56;
    this._show(true);
  }

  /** Show these; with `anew` from the top. */
  update(items, anew = false) {
    this._items = items;
    put(this.element, "aria-rowcount", items.length + 1);
    this._spacer.style.height = `${items.length * this._height}px`;
    if (anew) this.element.scrollTop = 0;
    this._show();
  }

  first() {
    this._choose(0);
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.element.clientHeight / this._height) - 2);
    const steps = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: page,
      PageUp: -page,
      Home: -Infinity,
      End: Infinity,
      j: 1,
      k: -1,
    };
    const at = this._place();
    if (event.key === "Enter" && at >= 0 && document.activeElement === this.element) {
      location.hash = address(this._items[at].stream.name);
      return true;
    }
    if (!(event.key in steps) || !this._items.length) return false;
    this.element.focus({ preventScroll: true });
    this._choose(Math.min(Math.max(at < 0 ? 0 : at + steps[event.key], 0), this._items.length - 1));
    return true;
  }

  _place() {
    return this._items.findIndex((item) => item.stream.name === this._chosen);
  }

  _focused() {
    if (this._place() < 0 && this._items.length && this.element.matches(":focus-visible"))
      this._choose(0);
  }

  _choose(index) {
    if (!this._items.length) return;
    this._chosen = this._items[index].stream.name;
    const top = index * this._height;
    const seen = this.element.clientHeight - this._head.offsetHeight;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    if (top + this._height > this.element.scrollTop + seen)
      this.element.scrollTop = top + this._height - seen;
    this._show();
  }

  _ask() {
    if (this._asked) return;
    this._asked = true;
    requestAnimationFrame(() => {
      this._asked = false;
      this._show();
    });
  }

  _show(repaint = false) {
    const rows = Math.ceil(this.element.clientHeight / this._height) + 2 * MARGIN_ROWS;
    while (this._pool.length < rows) this._pool.push(new Row(this._spacer, this._pool.length));
    const size = this._pool.length;
    const from = Math.max(0, Math.floor(this.element.scrollTop / this._height) - MARGIN_ROWS);
    const now = this._now();
    let active = null;
    for (let index = from; index < from + size; index += 1) {
      const row = this._pool[index % size];
      const item = this._items[index];
      if (!item) {
        row.hide();
        continue;
      }
      const chosen = item.stream.name === this._chosen;
      row.show(item, index, index * this._height, now, chosen, repaint);
      if (chosen) active = row.element.id;
    }
    put(this.element, "aria-activedescendant", active);
  }
}

function address(name) {
  return `#/streams/${encodeURIComponent(name)}`;
}

/** One row, which stands for one stream after another. */
class Row {
  constructor(parent, number) {
    this.name = h("a", { tabindex: "-1", class: "name" });
    this.sub = h("span", { class: "sub" });
    this.badge = badge("ok");
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.score = h("span", { class: "num" });
    this.anomalies = h("span", { class: "num" });
    this.age = h("span");
    const cells = [
      this.badge,
      h("span", { class: "who" }, this.name, this.sub),
      this.canvas,
      this.score,
      this.anomalies,
      this.age,
    ];
    this.element = h(
      "div",
      { class: "row row-grid", role: "row", id: `row-${number}`, hidden: true },
      ...cells.map((cell, i) =>
        h(
          "span",
          { role: i === 1 ? "rowheader" : "gridcell", class: `cell c${i}`, "aria-colindex": i + 1 },
          cell,
        ),
      ),
    );
    parent.append(this.element);
    this._stream = null;
  }

  hide() {
    if (!this.element.hidden) this.element.hidden = true;
    put(this.element, "aria-selected", null);
    this._stream = null;
  }

  show({ stream, state }, index, top, now, chosen, repaint) {
    if (this.element.hidden) this.element.hidden = false;
    if (this._top !== top) {
      this._top = top;
      this.element.style.transform = `translateY(${top}px)`;
    }
    put(this.element, "aria-rowindex", index + 2);
    put(this.element, "aria-selected", String(chosen));
    setBadge(this.badge, state);
    const age = stream.received_at ? now - Date.parse(stream.received_at) / 1000 : NaN;
    say(this.age, ago(age));
    if (stream === this._stream && !repaint) return;
    this._stream = stream;
    this._fill(stream);
  }

  _fill(stream) {
    say(this.name, stream.title || stream.name);
    put(this.name, "href", address(stream.name));
    say(this.sub, stream.title ? `${stream.name} · ${stream.kind}` : stream.kind);
    put(this.element, "title", stream.title ? `${stream.title}\n${stream.name}` : stream.name);
    say(this.score, score(stream.anomaly_score));
    this.score.classList.toggle("bad", stream.is_anomaly === true);
    say(this.anomalies, count(stream.anomalies));
    put(this.canvas.parentElement, "aria-label", summary(stream));
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (width && height)
      drawScores(this.canvas, stream.recent, stream.threshold, SLOTS, width, height);
  }
}

function summary(stream) {
  const known = stream.recent.filter((each) => each !== null);
  if (!known.length) return "no scores yet";
  return `last ${known.length} scores, highest ${score(Math.max(...known))}`;
}
