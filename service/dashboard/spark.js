/** A sparkline: the last scores of a stream on a small canvas. */

import { palette } from "./dom.js";

let colors = palette();
addEventListener("themechange", () => {
  colors = palette();
});

/** Give a canvas as many pixels as it covers; return its context, scaled, and its size. */
export function prepare(canvas, width, height) {
  const ratio = Math.min(devicePixelRatio || 1, 3);
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/**
 * Draw scores from 0 to 1, with a line at the threshold and a dot on each that reaches it.
 * @param {HTMLCanvasElement} canvas
 * @param {(number | null)[]} values oldest first
 * @param {number} threshold
 * @param {number} slots how many values the whole width stands for
 */
export function drawScores(canvas, values, threshold, slots, width, height) {
  const context = prepare(canvas, width, height);
  const pad = 3;
  const x = (i) => width - pad - (values.length - 1 - i) * ((width - 2 * pad) / (slots - 1));
  const y = (v) => height - pad - v * (height - 2 * pad);
  context.strokeStyle = colors.line;
  context.lineWidth = 1;
  context.setLineDash([2, 3]);
  const level = Math.round(y(threshold)) + 0.5;
  stroke(context, [
    [0, level],
    [width, level],
  ]);
  context.setLineDash([]);
  drawLine(context, values, x, y, colors.accent);
  context.fillStyle = colors.bad;
  values.forEach((v, i) => {
    if (v === null || v < threshold) return;
    context.beginPath();
    context.arc(x(i), y(v), 2.2, 0, 7);
    context.fill();
  });
}

/** Draw any numbers, scaled to fill the height. */
export function drawSignal(canvas, values, width, height) {
  const context = prepare(canvas, width, height);
  if (values.length < 2) return;
  const low = Math.min(...values);
  const high = Math.max(...values);
  const x = (i) => 1 + (i * (width - 2)) / (values.length - 1);
  const y = (v) =>
    high === low ? height / 2 : height - 2 - ((v - low) * (height - 4)) / (high - low);
  drawLine(context, values, x, y, colors.muted);
}

function drawLine(context, values, x, y, color) {
  context.strokeStyle = color;
  context.lineWidth = 1.25;
  context.lineJoin = "round";
  let run = [];
  values.forEach((v, i) => {
    if (v !== null) run.push([x(i), y(v)]);
    if (v === null || i === values.length - 1) {
      stroke(context, run);
      run = [];
    }
  });
}

function stroke(context, points) {
  if (points.length === 0) return;
  context.beginPath();
  context.moveTo(...points[0]);
  for (const point of points.slice(1)) context.lineTo(...point);
  if (points.length === 1) context.lineTo(points[0][0] + 0.5, points[0][1]);
  context.stroke();
}
