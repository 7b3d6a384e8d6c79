/** What can be chosen about the charts. */

import { h, put, say } from "./dom.js";
import { count } from "./format.js";
import { LASTS } from "./view.js";

export class Toolbar {
  /** @param {{last: (n: number) => void, feature: (name: string) => void, horizon: (events: number) => void, axis: (axis: string) => void, pause: () => void, save: (kind: string) => void}} listener */
  constructor(listener) {
    const button = (text, onclick, more = {}) =>
      h("button", { class: "button", type: "button", onclick, ...more }, text);
    this._lasts = LASTS.map((n) =>
      button(n === LASTS.at(-1) ? "All" : count(n), () => listener.last(n), {
        "aria-pressed": "false",
        "aria-label": n === LASTS.at(-1) ? "All events that are kept" : `Last ${count(n)} events`,
      }),
    );
    this._features = h("select", {
      "aria-label": "Feature",
      onchange: () => listener.feature(this._features.value),
    });
    this._horizons = h("select", {
      "aria-label": "Forecasts made",
      onchange: () => listener.horizon(Number(this._horizons.value)),
    });
    this._axis = h(
      "select",
      { "aria-label": "Horizontal axis", onchange: () => listener.axis(this._axis.value) },
      h("option", { value: "time" }, "By time"),
      h("option", { value: "event" }, "By event"),
    );
    this._pause = button("Pause", () => listener.pause(), {
      "aria-pressed": "false",
      "aria-keyshortcuts": "p",
    });
    this._zoomed = h("span", { class: "zoomed" });
    this.element = h(
      "div",
      { class: "toolbar", role: "group", "aria-label": "Charts" },
      this._features,
      this._horizons,
      h("div", { class: "segments", role: "group", "aria-label": "Last events" }, ...this._lasts),
      this._axis,
      this._zoomed,
      h("span", { class: "grow" }),
      this._pause,
      button("CSV", () => listener.save("csv"), { "aria-label": "Save what is on screen as CSV" }),
      button("JSON", () => listener.save("json"), {
        "aria-label": "Save what is on screen as JSON",
      }),
    );
    this._offered = new Map();
  }

  /** Offer the features and horizons there are, where there is a choice. */
  choices(features, feature, horizons, horizon) {
    this._offer(this._features, features, (name) => name, feature);
    this._offer(this._horizons, horizons, ahead, horizon);
  }

  update(view, axis, waiting) {
    this._lasts.forEach((each, i) =>
      put(each, "aria-pressed", String(!view.fixed && view.last === LASTS[i])),
    );
    say(this._zoomed, view.fixed ? "Zoomed · double-click or 0 follows again" : "");
    put(this._pause, "aria-pressed", String(waiting !== null));
    say(
      this._pause,
      waiting === null ? "Pause" : waiting ? `Go on · ${count(waiting)} new` : "Go on",
    );
    this._axis.value = axis;
  }

  _offer(select, values, text, chosen) {
    const offered = JSON.stringify(values);
    select.hidden = values.length < 2;
    if (offered !== this._offered.get(select)) {
      this._offered.set(select, offered);
      select.replaceChildren(...values.map((v) => h("option", { value: String(v) }, text(v))));
    }
    if (chosen !== null) select.value = String(chosen);
  }
}

function ahead(horizon) {
  return horizon === 1 ? "Forecast 1 event ahead" : `Forecast ${count(horizon)} events ahead`;
}
