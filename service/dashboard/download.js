/** What is on screen, as a file. */

import { h } from "./dom.js";

/** A cell a spreadsheet takes for what it is: text that looks like a formula gets an apostrophe. */
function cell(v) {
  if (v === null || v === undefined) return "";
  if (typeof v === "number" || typeof v === "boolean") return String(v);
  const text = /^[=+\-@\t\r]/.test(v) ? `'${v}` : String(v);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Results as CSV, a row each; forecasts stand at the event they are about.
 * @param {{result: any}[]} items
 * @param {import("./series.js").columns} columns of the same items
 * @param {string | null} feature the one that is drawn
 */
function toCsv(items, columns, feature) {
  const names = [...new Set(items.flatMap(({ result }) => Object.keys(result.x ?? {})))];
  const head = [
    "offset",
    "ts",
    "event_id",
    ...names.map((name) => `x.${name}`),
    ...(feature === null ? [] : [`expected.${feature}`, `lower.${feature}`, `upper.${feature}`]),
    "anomaly_score",
    "raw_score",
    "is_anomaly",
    "learning",
    "drift",
    "late",
    "digest",
  ];
  const rows = items.map(({ result }, i) => [
    result.offset,
    result.ts,
    result.event_id,
    ...names.map((name) => result.x?.[name]),
    ...(feature === null ? [] : [columns.expected[i], columns.lower[i], columns.upper[i]]),
    result.anomaly_score,
    result.raw_score,
    result.is_anomaly,
    result.learning,
    result.drift?.map((each) => `${each.detector} ${each.watch}`).join("; "),
    result.late === true,
    result.digest,
  ]);
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/**
 * Save what is on screen as `csv` or `json`.
 * @param {string} kind
 * @param {string} name of the stream
 * @param {{items: any[], feature: string | null, sight: [number, number], columns: any}} drawn
 */
export function saveAs(kind, name, { items, feature, sight, columns }) {
  const some = items.slice(...sight);
  const [first, last] = [some[0], some.at(-1)].map((each) => each?.result.offset ?? 0);
  const lines = ["expected", "lower", "upper"].map((each) => [each, columns[each].slice(...sight)]);
  const [text, type] =
    kind === "json"
      ? [JSON.stringify(some.map(({ result }) => result)), "application/json"]
      : [toCsv(some, Object.fromEntries(lines), feature), "text/csv"];
  hand(text, `${name}-${first}-${last}.${kind}`, type);
}

/** Hand a text over as a file. */
function hand(text, name, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = h("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
