/** Moving about in a stream: what is looked at, by keys, by mouse and by address. */

import { around, formatView, moved, nextMark, parseView, rangeOf, zoomed } from "./view.js";

export class Travel {
  /**
   * @param {string} name of the stream
   * @param {string} query of the address
   * @param {() => void} changed
   */
  constructor(name, query, changed) {
    this._name = name;
    this._changed = changed;
    this.view = parseView(query);
    /** @type {"time" | "event"} the axis that is drawn, whoever chose it */
    this.axis = "time";
    /** What is drawn, as far as anything is. */
    this.columns = null;
    const move = (change) => () => this._move(change);
    this._keys = {
      ArrowLeft: move((range, x) => moved(range, -0.25, x)),
      ArrowRight: move((range, x) => moved(range, 0.25, x)),
      "+": move((range, x) => zoomed(range, 0.5, x)),
      "=": move((range, x) => zoomed(range, 0.5, x)),
      "-": move((range, x) => zoomed(range, 2, x)),
      0: () => this.follow(),
      n: () => this._jump(1),
      b: () => this._jump(-1),
    };
  }

  /** @returns {boolean} whether the key was one of ours */
  key(event) {
    if (!(event.key in this._keys)) return false;
    this._keys[event.key]();
    return true;
  }

  /** The range of x that is looked at. */
  get range() {
    return rangeOf(this.view, this.columns?.x ?? [], this.columns?.ahead);
  }

  /** Look at something else, and say so in the address. */
  show(change) {
    Object.assign(this.view, change);
    const query = formatView(this.view, this.axis);
    const address = `#/streams/${encodeURIComponent(this._name)}`;
    history.replaceState(null, "", query ? `${address}?${query}` : address);
    this._changed();
  }

  /** Follow the newest events again. */
  follow() {
    this.show({ fixed: null });
  }

  /** Look at one event and what is around it. */
  center(index) {
    this.show({ fixed: around(this.columns.x, index) });
  }

  _move(change) {
    if (this.columns?.x.length) this.show({ fixed: change(this.range, this.columns.x) });
  }

  /** Go to the next anomaly or drift in a direction. */
  _jump(direction) {
    if (!this.columns) return;
    const [from, to] = this.range;
    const place = this.view.fixed ? (from + to) / 2 : -direction * Infinity;
    const next = nextMark(this.columns, place, direction);
    if (next !== undefined) this.center(next);
  }
}
