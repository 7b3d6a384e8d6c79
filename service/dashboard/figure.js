/** A chart in its frame: title, what the cursor points at, a summary in words, and a table of it. */

import { h, put, say } from "./dom.js";

const ROWS = 50;

export class Figure {
  /**
   * @param {string} id
   * @param {string} title
   * @param {[string, string][]} legend key and text
   * @param {string[]} heads of the table
   */
  constructor(id, title, legend, heads) {
    this.title = h("h2", { id: `${id}-title` }, title);
    this._readout = h("p", { class: "readout" });
    this._summary = h("p", { class: "hidden", id: `${id}-summary` });
    this.host = h("div", {
      class: `chart ${id}`,
      role: "img",
      "aria-labelledby": `${id}-title ${id}-summary`,
    });
    this._body = h("tbody");
    this._caption = h("caption");
    const head = h(
      "thead",
      {},
      h("tr", {}, ...heads.map((text) => h("th", { scope: "col" }, text))),
    );
    this._table = h(
      "div",
      {
        class: "scroll",
        hidden: true,
        tabindex: "0",
        role: "region",
        "aria-labelledby": `${id}-title`,
      },
      h("table", {}, this._caption, head, this._body),
    );
    this._toggle = h(
      "button",
      {
        class: "button small",
        type: "button",
        "aria-pressed": "false",
        onclick: () => this._flip(),
      },
      "Table",
    );
    const keys = legend.map(([key, text]) => h("li", { class: `key ${key}` }, text));
    this.element = h(
      "figure",
      { class: "panel figure" },
      h(
        "figcaption",
        {},
        this.title,
        h("ul", { class: "legend", "aria-label": "Legend" }, ...keys),
        this._readout,
        this._summary,
        this._toggle,
      ),
      this.host,
      this._table,
    );
    this._fill = () => [];
  }

  /** Say what the cursor points at: pairs of a name and a value. */
  read(pairs) {
    while (this._readout.childElementCount < pairs.length)
      this._readout.append(h("span", {}, h("b"), h("span")));
    [...this._readout.children].forEach((element, i) => {
      element.hidden = i >= pairs.length;
      if (i >= pairs.length) return;
      say(element.firstChild, pairs[i][0]);
      say(element.lastChild, pairs[i][1]);
    });
  }

  /**
   * Say in words what is drawn, and keep the table at it.
   * @param {string} text
   * @param {(most: number) => {cells: string[], mark: string}[]} fill gives the newest rows first
   */
  tell(text, fill) {
    say(this._summary, text);
    this._fill = fill;
    if (!this._table.hidden) this._write();
  }

  _flip() {
    this._table.hidden = !this._table.hidden;
    this.host.classList.toggle("away", !this._table.hidden);
    put(this._toggle, "aria-pressed", String(!this._table.hidden));
    if (!this._table.hidden) this._write();
  }

  _write() {
    const rows = this._fill(ROWS);
    say(this._caption, `The last ${rows.length} events on screen, newest first`);
    while (this._body.childElementCount > rows.length) this._body.lastChild.remove();
    rows.forEach(({ cells, mark }, i) => {
      const row = this._body.children[i] ?? this._body.appendChild(h("tr"));
      put(row, "class", mark || null);
      while (row.childElementCount < cells.length) row.append(h("td"));
      cells.forEach((text, j) => say(row.children[j], text));
    });
  }
}
