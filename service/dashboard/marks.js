/** What is drawn over and under the lines: warming, threshold, anomalies, drifts and what is ahead. */

const RADIUS = 4;

/** Shade the stretches in which there was nothing to compare with yet. */
export function drawWarming(u, columns, colors) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.fillStyle = colors.wash;
  for (const [from, to] of columns.warming) {
    const left = clamp(u.valToPos(columns.x[from], "x", true), bbox);
    const right = clamp(u.valToPos(columns.x[to], "x", true), bbox);
    if (right > left) ctx.fillRect(left, bbox.top, right - left, bbox.height);
  }
  ctx.restore();
}

const STATE_COLORS = { learning: "good", warming: "muted", paused: "drift", quarantined: "bad" };
const BAND = 5;

/** Draw a band along the foot of the score: what learning did at each event. */
export function drawStates(u, columns, colors) {
  const { ctx, bbox } = u;
  const height = BAND * (devicePixelRatio || 1);
  const top = bbox.top + bbox.height - height;
  ctx.save();
  ctx.fillStyle = colors.surface;
  ctx.fillRect(bbox.left, top - height / 5, bbox.width, height * 1.2);
  columns.states.forEach(([from, to, state], i) => {
    // A state lasts until the next begins.
    const next = columns.states[i + 1]?.[0] ?? to;
    const left = clamp(u.valToPos(columns.x[from], "x", true), bbox);
    const right = clamp(u.valToPos(columns.x[next], "x", true), bbox);
    ctx.fillStyle = colors[STATE_COLORS[state]] ?? colors.muted;
    if (right > left) ctx.fillRect(left, top, right - left, height);
  });
  ctx.restore();
}

function clamp(position, bbox) {
  return Math.min(Math.max(position, bbox.left), bbox.left + bbox.width);
}

/**
 * Draw a drift as a line with a diamond, an anomaly as a disk, a forecast beyond the newest event as
 * a ring, and the threshold of the score.
 * @param {any} u the chart
 * @param {1 | 2} kind 1 for the score, 2 for the value
 */
export function drawMarks(u, columns, colors, kind, threshold) {
  const ratio = devicePixelRatio || 1;
  const { ctx } = u;
  ctx.save();
  ctx.beginPath();
  // A disk at the edge is shown whole.
  ctx.rect(
    u.bbox.left - 6 * ratio,
    u.bbox.top - 14 * ratio,
    u.bbox.width + 12 * ratio,
    u.bbox.height + 20 * ratio,
  );
  ctx.clip();
  if (kind === 1 && threshold !== null) drawThreshold(u, colors, threshold, ratio);
  if (kind === 2) drawAhead(u, columns.ahead, colors, ratio);
  drawDrifts(u, columns, colors, ratio);
  drawAnomalies(u, columns, colors, kind === 1 ? columns.score : columns.value, ratio);
  ctx.restore();
}

function drawThreshold(u, colors, threshold, ratio) {
  const { ctx, bbox } = u;
  const y = Math.round(u.valToPos(threshold, "y", true)) + 0.5;
  ctx.strokeStyle = colors.bad;
  ctx.lineWidth = ratio;
  ctx.setLineDash([4 * ratio, 4 * ratio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.setLineDash([]);
}

function drawAhead(u, ahead, colors, ratio) {
  const { ctx } = u;
  ctx.fillStyle = colors.surface;
  ctx.strokeStyle = colors.accent;
  ctx.lineWidth = 1.4 * ratio;
  ctx.beginPath();
  for (const { x: at, expected } of ahead) {
    if (expected === null || at > u.scales.x.max) continue;
    const [x, y] = [u.valToPos(at, "x", true), u.valToPos(expected, "y", true)];
    ctx.moveTo(x + 2.5 * ratio, y);
    ctx.arc(x, y, 2.5 * ratio, 0, 7);
  }
  ctx.fill();
  ctx.stroke();
}

function* inSight(u, columns, indexes) {
  const { min, max } = u.scales.x;
  for (const i of indexes) if (columns.x[i] >= min && columns.x[i] <= max) yield i;
}

function drawDrifts(u, columns, colors, ratio) {
  const { ctx, bbox } = u;
  ctx.strokeStyle = colors.drift;
  ctx.fillStyle = colors.drift;
  ctx.lineWidth = 1.5 * ratio;
  const size = 5 * ratio;
  for (const i of inSight(u, columns, columns.drifts)) {
    const x = Math.round(u.valToPos(columns.x[i], "x", true));
    ctx.setLineDash([2 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top - 2 * size);
    ctx.lineTo(x + size, bbox.top - size);
    ctx.lineTo(x, bbox.top);
    ctx.lineTo(x - size, bbox.top - size);
    ctx.fill();
  }
}

/** All disks are one path: there may be thousands. */
function drawAnomalies(u, columns, colors, heights, ratio) {
  const { ctx, bbox } = u;
  ctx.beginPath();
  let some = false;
  for (const i of inSight(u, columns, columns.anomalies)) {
    const x = u.valToPos(columns.x[i], "x", true);
    const y = heights[i] === null ? bbox.top + bbox.height : u.valToPos(heights[i], "y", true);
    ctx.moveTo(x + RADIUS * ratio, y);
    ctx.arc(x, y, RADIUS * ratio, 0, 7);
    some = true;
  }
  if (!some) return;
  ctx.fillStyle = colors.bad;
  ctx.strokeStyle = colors.surface;
  ctx.lineWidth = 1.5 * ratio;
  ctx.stroke();
  ctx.fill();
}
