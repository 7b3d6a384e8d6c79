/** What was taken for what: a row for each true class, a column for each that was predicted. */

import { h, put, say } from "./dom.js";
import { count } from "./format.js";

const SCOPES = ["window", "overall"];

/** A table of counts, the darker the larger its share of the true class. */
export class Confusion {
  constructor() {
    this._scope = "window";
    this._metrics = {};
    this._shown = "";
    this._buttons = SCOPES.map((scope) =>
      h("button", { type: "button", class: "button small", onclick: () => this._choose(scope) }),
    );
    this._hint = h("p", { class: "hint" });
    this._table = h("table", { class: "heat" });
    this.element = h(
      "section",
      { class: "panel wide", hidden: true },
      h(
        "div",
        { class: "titled" },
        h("h2", {}, "What was taken for what"),
        h("div", { class: "choice", role: "group", "aria-label": "Over" }, ...this._buttons),
      ),
      h(
        "div",
        { class: "scroller", tabindex: "0", role: "region", "aria-label": "Confusion matrix" },
        this._table,
      ),
      this._hint,
    );
  }

  /** @param {any} metrics as the API has them */
  update(metrics) {
    this._metrics = metrics;
    const { confusion, window_size: size, labeled } = metrics;
    this.element.hidden = !confusion || confusion.classes.length === 0;
    if (this.element.hidden) return;
    SCOPES.forEach((scope, i) => {
      say(this._buttons[i], scope === "overall" ? `All ${count(labeled)}` : `Last ${count(size)}`);
      put(this._buttons[i], "aria-pressed", String(scope === this._scope));
    });
    const rest = confusion.others[this._scope];
    say(
      this._hint,
      "Rows are true, columns predicted; a cell is shaded by its share of its row." +
        (rest > 0 ? ` ${count(rest)} events of rarer classes are left out.` : ""),
    );
    this._fill(confusion.classes.map(String), confusion[this._scope]);
  }

  _choose(scope) {
    this._scope = scope;
    this.update(this._metrics);
  }

  _fill(classes, rows) {
    const key = JSON.stringify([this._scope, classes, rows]);
    if (key === this._shown) return;
    this._shown = key;
    const name = (text) => h("span", { class: "class", title: text }, text);
    const head = h(
      "tr",
      {},
      h("th", { scope: "col" }, "true ↓ predicted →"),
      ...classes.map((each) => h("th", { scope: "col", class: "number" }, name(each))),
      h("th", { scope: "col", class: "number recall" }, "found"),
    );
    const body = rows.map((row, i) => {
      const total = row.reduce((sum, n) => sum + n, 0);
      const cells = row.map((n, j) => cell(n, total, i === j, classes[i], classes[j]));
      const found = total ? `${Math.round((100 * row[i]) / total)} %` : "–";
      return h(
        "tr",
        {},
        h("th", { scope: "row" }, name(classes[i])),
        ...cells,
        h("td", { class: "number recall" }, found),
      );
    });
    this._table.replaceChildren(
      h("caption", { class: "hidden" }, "Rows are true classes, columns what was predicted"),
      h("thead", {}, head),
      h("tbody", {}, ...body),
    );
  }
}

function cell(n, total, right, truth, guess) {
  const share = total ? n / total : 0;
  const title = `true ${truth}, predicted ${guess}: ${count(n)} of ${count(total)}`;
  const made = h(
    "td",
    { class: right ? "number right" : "number wrong", title },
    n ? count(n) : h("span", { class: "zero" }, "0"),
  );
  // A tenth is seen already: most mistakes are small shares.
  made.style.setProperty("--share", `${n ? Math.round(8 + 37 * Math.sqrt(share)) : 0}%`);
  return made;
}
