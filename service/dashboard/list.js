/** The list of streams: found, sorted, counted by state. */

import { announce, h, paced, put, say } from "./dom.js";
import { firstSteps } from "./first.js";
import { count } from "./format.js";
import { Overview } from "./overview.js";
import { Rows } from "./rows.js";
import { RANK, STATES, badge, stateOf } from "./state.js";

const SORT_EVERY_MS = 1_000;
const number = (v) => (typeof v === "number" ? v : -1);
const SORTS = {
  score: [
    "Score, highest first",
    (a, b) => number(b.stream.anomaly_score) - number(a.stream.anomaly_score),
  ],
  state: ["State, most urgent first", (a, b) => RANK[a.state] - RANK[b.state]],
  recent: [
    "Last update, newest first",
    (a, b) => compare(b.stream.received_at ?? "", a.stream.received_at ?? ""),
  ],
  anomalies: ["Anomalies, most first", (a, b) => b.stream.anomalies - a.stream.anomalies],
  name: ["Name", () => 0],
};
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

export class ListPage {
  constructor(setLink, query) {
    this._setLink = setLink;
    const asked = new URLSearchParams(query);
    this._sort = asked.get("sort") in SORTS ? asked.get("sort") : "score";
    this._only = asked.get("state") in STATES ? asked.get("state") : null;
    this._shown = [];
    this._overview = new Overview({ changed: () => this._changed(), link: setLink });
    this._refresh = paced(() => this._arrange(), SORT_EVERY_MS);
    this._build(asked.get("find") ?? "");
    document.title = "Synaptide";
    this._clock = setInterval(() => this._refresh(), SORT_EVERY_MS);
    this._overview.run();
  }

  stop() {
    clearInterval(this._clock);
    this._overview.stop();
    this._rows.stop();
  }

  shown() {
    this._rows.measure();
  }

  /** @returns {boolean} whether the key was one of ours */
  key(event) {
    if (event.key === "/") {
      this._find.focus();
      this._find.select();
      return true;
    }
    return this._rows.key(event);
  }

  _build(find) {
    this._find = h("input", {
      type: "search",
      id: "find",
      placeholder: "Find a stream",
      "aria-label": "Find a stream",
      autocomplete: "off",
      spellcheck: "false",
      "aria-keyshortcuts": "/",
      oninput: () => this._arrange(true),
      onkeydown: (event) => this._findKey(event),
    });
    this._find.value = find;
    const options = Object.entries(SORTS).map(([name, [label]]) =>
      h("option", { value: name }, label),
    );
    const select = h(
      "select",
      {
        "aria-label": "Sort by",
        onchange: () => {
          this._sort = select.value;
          this._arrange(true);
        },
      },
      ...options,
    );
    select.value = this._sort;
    this._chips = this._buildChips();
    this._title = h("h1", {}, "Streams");
    this._total = h("span", { class: "total" });
    this._rows = new Rows(
      (item) => item.state,
      () => this._overview.now(),
    );
    this._none = h("p", { class: "none", hidden: true });
    this._bar = h(
      "div",
      { class: "bar" },
      h("div", { class: "title" }, this._title, this._total),
      h(
        "div",
        { class: "chips", role: "group", "aria-label": "Show only" },
        ...Object.values(this._chips),
      ),
      h(
        "div",
        { class: "controls" },
        h("span", { class: "field" }, this._find, h("kbd", { "aria-hidden": "true" }, "/")),
        select,
      ),
    );
    this._loading = h("div", { class: "loading", role: "status" }, "Loading streams …");
    this.element = h(
      "div",
      { class: "list" },
      this._bar,
      this._loading,
      this._none,
      this._rows.element,
    );
    this._rows.element.hidden = true;
  }

  _buildChips() {
    const chips = {};
    for (const name of Object.keys(STATES)) {
      const number = h("span", { class: "number" });
      chips[name] = h(
        "button",
        {
          class: "chip",
          type: "button",
          "aria-pressed": "false",
          hidden: true,
          onclick: () => {
            this._only = this._only === name ? null : name;
            this._arrange(true);
          },
        },
        badge(name),
        number,
      );
    }
    return chips;
  }

  _findKey(event) {
    if (event.key === "Escape") {
      this._find.value = "";
      this._arrange(true);
      this._rows.element.focus();
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      this._rows.element.focus();
      this._rows.first();
    }
  }

  _changed() {
    if (!this._shown.length || this._rows.element.hidden) this._arrange();
    else {
      // What is in sight is new at once; the order changes once a second.
      this._rows.update(this._shown.flatMap((item) => this._item(item.stream.name) ?? []));
      this._refresh();
    }
  }

  _item(name) {
    const stream = this._overview.streams.get(name);
    return stream && { stream, state: stateOf(stream, this._overview.now()) };
  }

  /** Filter, sort and show; with `anew` because the person asked for another choice. */
  _arrange(anew = false) {
    if (!this._overview.loaded) return;
    const all = [...this._overview.streams.keys()].map((name) => this._item(name));
    this._count(all);
    const find = this._find.value.trim().toLowerCase();
    const [, order] = SORTS[this._sort];
    const fits = ({ stream, state }) =>
      (this._only === null || state === this._only) &&
      (!find ||
        `${stream.name}\n${stream.title ?? ""}\n${stream.kind}`.toLowerCase().includes(find));
    this._shown = all
      .filter(fits)
      .sort((a, b) => order(a, b) || compare(a.stream.name, b.stream.name));
    this._loading.hidden = true;
    this._showEmptiness(all.length, this._shown.length);
    this._rows.update(this._shown, anew);
    if (anew) {
      announce(`${this._shown.length} of ${all.length} streams`);
      this._keepChoice();
    }
  }

  _count(all) {
    const tally = {};
    for (const { state } of all) tally[state] = (tally[state] ?? 0) + 1;
    for (const [name, chip] of Object.entries(this._chips)) {
      chip.hidden = !tally[name] && this._only !== name;
      say(chip.querySelector(".number"), count(tally[name] ?? 0));
      put(chip, "aria-pressed", String(this._only === name));
    }
    say(this._total, count(all.length));
  }

  _showEmptiness(all, some) {
    this._rows.element.hidden = some === 0;
    this._bar.classList.toggle("fresh", all === 0);
    this._none.hidden = all === 0 || some > 0;
    say(this._none, "No stream is like that.");
    if (all === 0 && !this._empty) this.element.append((this._empty = firstSteps()));
    if (this._empty) this._empty.hidden = all > 0;
  }

  _keepChoice() {
    const kept = new URLSearchParams();
    if (this._find.value) kept.set("find", this._find.value);
    if (this._sort !== "score") kept.set("sort", this._sort);
    if (this._only) kept.set("state", this._only);
    const query = kept.toString();
    history.replaceState(null, "", query ? `#/?${query}` : "#/");
  }
}
