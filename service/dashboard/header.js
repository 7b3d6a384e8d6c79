/** The head of a stream's page: what it is called, what it is doing, and its figures. */

import { announce, h, put, say } from "./dom.js";
import { ago, bytes, count, score, time } from "./format.js";
import { STATES, badge, setBadge, stateOf } from "./state.js";

const FIGURES = {
  score: "Score now",
  events: "Events",
  anomalies: "Anomalies",
  drifts: "Drifts",
  learner: "Learner",
  memory: "Memory limit",
  digest: "Digest",
};

export class Header {
  constructor(name) {
    this._name = name;
    this._title = h("h1", {}, name);
    this._sub = h("p", { class: "sub" });
    this._badge = badge("warming");
    this._badge.hidden = true;
    this._age = h("span", { class: "age" });
    this._figures = Object.fromEntries(Object.keys(FIGURES).map((key) => [key, h("dd", {}, "–")]));
    const list = Object.entries(FIGURES).map(([key, label]) =>
      h("div", { class: `stat ${key}` }, h("dt", {}, label), this._figures[key]),
    );
    this.element = h(
      "header",
      { class: "about" },
      h("nav", { "aria-label": "Breadcrumb" }, h("a", { class: "back", href: "#/" }, "← Streams")),
      h(
        "div",
        { class: "heading" },
        h("div", { class: "names" }, this._title, this._sub),
        this._badge,
        this._age,
      ),
      h("dl", { class: "stats" }, ...list),
    );
    this._state = null;
    this._anomaly = null;
    this._drift = null;
  }

  /** @param {any} stream as the API shows it */
  describe(stream) {
    const { spec } = stream;
    say(this._title, spec.title || this._name);
    document.title = `${spec.title || this._name} · Synaptide`;
    say(this._sub, spec.title ? this._name : "");
    say(this._figures.learner, spec.learner.estimator ?? spec.learner.kind.replaceAll("_", " "));
    say(this._figures.memory, bytes(stream.memory_bytes_estimate));
  }

  /**
   * Show what the stream is doing; the newest result may be ahead of the state, or behind it.
   * @param {any} state as the API shows it
   * @param {any} newest the newest result
   * @param {number} receivedAgo seconds, or NaN before anything came
   */
  update(state, newest, receivedAgo) {
    const result = newest && newest.offset >= state.offset ? newest : state;
    this._figures.score.classList.toggle("bad", result.is_anomaly === true);
    say(this._figures.score, score(result.anomaly_score));
    say(this._figures.events, count(result.offset));
    say(this._figures.anomalies, count(state.anomalies ?? 0));
    say(
      this._figures.drifts,
      count(Object.values(state.drifts ?? {}).reduce((sum, n) => sum + n, 0)),
    );
    say(this._figures.digest, result.digest.slice(0, 12));
    put(this._figures.digest, "title", result.digest);
    say(this._age, ageOf(receivedAgo, newest));
    this._mark(
      stateOf(
        {
          state: result.learning,
          offset: result.offset,
          is_anomaly: result.is_anomaly,
          last_anomaly: later(this._anomaly, state.last_anomaly),
          last_drift: later(this._drift, state.last_drift),
          silence_after_seconds: state.signals?.silence_alarm_after_seconds,
          received_at: Number.isFinite(receivedAgo)
            ? new Date(Date.now() - receivedAgo * 1000).toISOString()
            : null,
        },
        Date.now() / 1000,
      ),
    );
  }

  /** Remember what is notable in results that the state does not tell of yet. */
  note(results) {
    for (const result of results) {
      if (result.is_anomaly) this._anomaly = result;
      if (result.drift?.length) this._drift = result;
    }
  }

  _mark(called) {
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

function later(a, b) {
  return (a?.offset ?? 0) > (b?.offset ?? 0) ? a : b;
}
