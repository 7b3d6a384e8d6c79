/** What a stream is doing, in one word, with a shape and a color of its own. */

import { h, put, say } from "./dom.js";

/** How many events an anomaly, or a drift, goes on to mark its stream. */
export const ANOMALY_LASTS = 10;
export const DRIFT_LASTS = 100;

/** Most urgent first: the order in which streams that need a person come. */
export const STATES = {
  quarantined: { label: "Quarantined", shape: "cross" },
  anomalous: { label: "Anomalous", shape: "triangle" },
  silent: { label: "Silent", shape: "ring" },
  drifted: { label: "Drifted", shape: "diamond" },
  paused: { label: "Paused", shape: "bars" },
  warming: { label: "Warming", shape: "half" },
  ok: { label: "OK", shape: "dot" },
};

/** The states by how urgent they are. */
export const RANK = Object.fromEntries(Object.keys(STATES).map((name, i) => [name, i]));

/**
 * Name what a stream is doing.
 * @param {any} stream as the overview has it
 * @param {number} now in seconds, by the service's clock
 */
export function stateOf(stream, now) {
  if (stream.state === "quarantined") return "quarantined";
  const { offset, last_anomaly: anomaly, last_drift: drift } = stream;
  if (stream.is_anomaly || (anomaly && offset - anomaly.offset < ANOMALY_LASTS)) return "anomalous";
  if (isSilent(stream, now)) return "silent";
  if (drift && offset - drift.offset < DRIFT_LASTS) return "drifted";
  if (stream.state === "paused") return "paused";
  return stream.state === "warming" ? "warming" : "ok";
}

function isSilent(stream, now) {
  const limit = stream.silence_after_seconds;
  if (typeof limit !== "number" || !stream.received_at) return false;
  return now - Date.parse(stream.received_at) / 1000 > limit;
}

const SHAPES = {
  cross: "M4 4l8 8M12 4l-8 8",
  triangle: "M8 2.5L14.5 13.5H1.5Z",
  ring: "M8 3.2a4.8 4.8 0 1 0 0 9.6a4.8 4.8 0 1 0 0-9.6Z",
  diamond: "M8 2l6 6-6 6-6-6Z",
  bars: "M5.5 3.5v9M10.5 3.5v9",
  half: "M8 3.2a4.8 4.8 0 1 0 0 9.6Z",
  dot: "M8 4.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 1 0 0-7Z",
};
const SVG = "http://www.w3.org/2000/svg";

/** A badge: shape, color and word. */
export function badge(state) {
  const path = document.createElementNS(SVG, "path");
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.append(path);
  const element = h("span", { class: "badge" }, svg, h("span"));
  setBadge(element, state);
  return element;
}

/** Change a badge; return whether it says something else than before. */
export function setBadge(element, state) {
  if (element.dataset.state === state) return false;
  element.dataset.state = state;
  const { label, shape } = STATES[state];
  put(element, "data-shape", shape);
  element.querySelector("path").setAttribute("d", SHAPES[shape]);
  say(element.lastElementChild, label);
  return true;
}
