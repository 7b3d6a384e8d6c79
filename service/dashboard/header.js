/** The head of a stream's page: what it is called, what it is doing, and its figures. */

import { announce, h, put, say } from "./dom.js";
import { ago, bytes, count, score, time } from "./format.js";
import { STATES, badge, setBadge, stateOf } from "./state.js";

const FIGURES = { score: "Score now", events: "Events", anomalies: "Anomalies", drifts: "Drifts", learner: "Learner", memory: "Memory, at most", digest: "Digest" };

export class Header {
  constructor(name) {
    this._name = name;
    this._title = h("h1", {}, name);
    this._sub = h("p", { class: "sub" });
    this._badge = badge("warming");
    this._badge.hidden = true;
    this._age = h("span", { class: "age" });
    this._figures = Object.fromEntries(Object.keys(FIGURES).map((key) => [key, h("dd", {}, "–")]));
    const list = Object.entries(FIGURES).map(([key, label]) => h("div", { class: `stat ${key}` }, h("dt", {}, label), this._figures[key]));
    this.element = h("header", { class: "about" },
      h("nav", { "aria-label": "Breadcrumb" }, h("a", { class: "back", href: "#/" }, "← Streams")),
      h("div", { class: "heading" }, h("div", { class: "names" }, this._title, this._sub), this._badge, this._age),
      h("dl", { class: "stats" }, ...list));
    this._state = null;
  }

  /** @param {any} stream as the API shows it */
  describe(stream) {
    const { spec } = stream;
    say(this._title, spec.title || this._name);
    document.title = `${spec.title || this._name} · Synaptide`;
    say(this._sub, spec.title ? this._name : "");
    say(this._figures.learner, spec.learner.kind.replaceAll("_", " "));
    say(this._figures.memory, bytes(stream.memory_bytes_estimate));
  }

  /** @param {any} state as the API shows it, and the newest result with it */
  update(state, newest, lasting, receivedAgo) {
    this._figures.score.classList.toggle("bad", newest?.is_anomaly === true);
    say(this._figures.score, score(newest?.anomaly_score));
    say(this._figures.events, count(Math.max(state.offset, newest?.offset ?? 0)));
    say(this._figures.anomalies, count(state.anomalies ?? 0));
    say(this._figures.drifts, count(lasting.drifts));
    say(this._figures.digest, (newest?.digest ?? state.digest ?? "").slice(0, 12));
    put(this._figures.digest, "title", newest?.digest ?? state.digest);
    say(this._age, ageOf(receivedAgo, newest));
    const called = stateOf({ ...lasting, state: newest?.learning ?? state.learning, offset: state.offset, is_anomaly: newest?.is_anomaly }, Date.now() / 1000);
    this._badge.hidden = false;
    if (setBadge(this._badge, called)) {
      if (this._state !== null) announce(`${this._title.textContent}: ${STATES[called].label}`);
      this._state = called;
    }
  }
}

/** How old the page's knowledge is; before anything came, when the newest event was. */
function ageOf(receivedAgo, newest) {
  if (Number.isFinite(receivedAgo)) return `last update ${ago(receivedAgo)}`;
  return newest ? `newest event ${time(Date.parse(newest.ts) / 1000)}` : "no events yet";
}
