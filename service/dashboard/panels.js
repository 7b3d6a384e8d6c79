/** Beside the charts: signals, quality, and what was notable. */

import { h, put, say } from "./dom.js";
import { count, score, time, value, words } from "./format.js";
import { drawSignal } from "./spark.js";

const REMEMBERED = 90;
const NOTABLE = 30;

function panel(title, ...content) {
  return h("section", { class: "panel" }, h("h2", {}, title), ...content);
}

/** The learner's own signals, each with its last minutes. */
export class Signals {
  constructor() {
    this._rows = new Map();
    this._body = h("tbody");
    this._none = h("p", { class: "hint" }, "This learner has no signals yet.");
    this._table = h(
      "table",
      { class: "plain", hidden: true },
      h("caption", { class: "hidden" }, "Signals of the learner"),
      h(
        "thead",
        { class: "hidden" },
        h(
          "tr",
          {},
          ...["Signal", "While this page is open", "Now"].map((text) =>
            h("th", { scope: "col" }, text),
          ),
        ),
      ),
      this._body,
    );
    // Some learners have dozens: more than a screen of them would push all else out of sight.
    const scrolled = { class: "scrolled", tabindex: "0", role: "region", "aria-label": "Signals" };
    this.element = panel("Signals", this._none, h("div", scrolled, this._table));
  }

  update(signals) {
    for (const [name, v] of Object.entries(signals)) {
      if (!this._rows.has(name)) this._rows.set(name, this._row(name));
      const row = this._rows.get(name);
      row.past.push(v);
      if (row.past.length > REMEMBERED) row.past.shift();
      say(row.now, value(v));
      drawSignal(row.canvas, row.past, row.canvas.clientWidth || 90, row.canvas.clientHeight || 22);
    }
    this._none.hidden = this._rows.size > 0;
    this._table.hidden = this._rows.size === 0;
  }

  _row(name) {
    const row = {
      past: [],
      canvas: h("canvas", { "aria-hidden": "true" }),
      now: h("td", { class: "number" }),
    };
    this._body.append(
      h(
        "tr",
        {},
        h("th", { scope: "row" }, words(name)),
        h("td", { class: "spark" }, row.canvas),
        row.now,
      ),
    );
    // A canvas of a hidden table has no size yet.
    this._table.hidden = false;
    return row;
  }
}

/** How good it is, by the labels there are. */
export class Quality {
  constructor() {
    this._body = h("tbody");
    this._window = h("th", { scope: "col", class: "number" }, "Window");
    this._table = h(
      "table",
      { class: "plain", hidden: true },
      h("caption", { class: "hidden" }, "Quality, predicted before each label was learned from"),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Measure"),
          h("th", { scope: "col", class: "number" }, "Overall"),
          this._window,
        ),
      ),
      this._body,
    );
    this._hint = h(
      "p",
      { class: "hint" },
      "No labels yet. Send what was true as an event's y to see how good the predictions are.",
    );
    this.element = panel("Quality", this._hint, this._table);
  }

  /** @param {any} metrics as the API has them */
  update(metrics) {
    const { window: recent = {}, overall = {}, window_size: size } = metrics;
    const names = Object.keys(overall).filter(
      (name) => typeof overall[name] === "number" || overall[name] === null,
    );
    const known = names.length > 0 && metrics.labeled > 0;
    this._table.hidden = !known;
    if (!known) return;
    say(
      this._hint,
      `${count(metrics.labeled)} of ${count(metrics.events)} events labeled · ${metrics.task ?? "no task"}`,
    );
    say(this._window, typeof size === "number" ? `Last ${count(size)}` : "Recent");
    while (this._body.childElementCount > names.length) this._body.lastChild.remove();
    names.forEach((name, i) => {
      const row =
        this._body.children[i] ??
        this._body.appendChild(
          h(
            "tr",
            {},
            h("th", { scope: "row" }),
            h("td", { class: "number" }),
            h("td", { class: "number" }),
          ),
        );
      [words(name), value(overall[name]), value(recent[name])].forEach((text, j) =>
        say(row.children[j], text),
      );
    });
  }
}

/** The latest anomalies and drifts; each is a way to look at it. */
export class Notable {
  /** @param {(offset: number) => void} show */
  constructor(show) {
    this._list = h("ul", { class: "notable" });
    this._none = h("p", { class: "hint" }, "None among the events that are kept.");
    this.element = panel("Anomalies and drifts", this._none, this._list);
    this._list.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) show(Number(button.dataset.offset));
    });
    this._shown = "";
  }

  /** @param {{result: any, t: number}[]} items */
  update(items) {
    const found = [];
    for (let i = items.length - 1; i >= 0 && found.length < NOTABLE; i -= 1) {
      const { result, t } = items[i];
      for (const drift of result.drift ?? []) {
        const to = `${value(drift.before)} → ${value(drift.after)}`;
        found.push({
          kind: "drift",
          offset: result.offset,
          t,
          text: `Drift of ${drift.watch}, ${to}`,
          detail: drift.detector,
        });
      }
      if (result.is_anomaly)
        found.push({
          kind: "anomaly",
          offset: result.offset,
          t,
          text: `Anomaly, score ${score(result.anomaly_score)}`,
          detail: "",
        });
    }
    const key = found.map((each) => each.kind[0] + each.offset).join();
    if (key === this._shown) return;
    this._shown = key;
    this._none.hidden = found.length > 0;
    this._list.replaceChildren(...found.map(entry));
    put(this._list, "tabindex", found.length > 6 ? "0" : null);
  }
}

function entry({ kind, offset, t, text, detail }) {
  return h(
    "li",
    {},
    h(
      "button",
      { type: "button", class: `moment ${kind}`, "data-offset": offset },
      h("span", { class: `key ${kind}` }, text),
      h("span", { class: "sub" }, [time(t), detail].filter(Boolean).join(" · ")),
    ),
  );
}
