/** Numbers and times as people read them. */

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 5 });

/** A count with thousands set apart. */
export function count(n) {
  return typeof n === "number" ? whole.format(n).replaceAll(",", "\u202f") : "–";
}

/** A score from 0 to 1, always as wide as any other. */
export function score(value) {
  return typeof value === "number" ? value.toFixed(2) : "–";
}

/** A measured value, to five digits. */
export function value(v) {
  if (typeof v === "string") return v;
  if (typeof v !== "number") return "–";
  const size = Math.abs(v);
  if (size !== 0 && (size >= 1e7 || size < 1e-4)) return v.toExponential(3);
  return fine.format(v).replaceAll(",", "\u202f").replace("-", "−");
}

/** Seconds as one rounded unit: 4 s, 12 min, 3 h, 5 d. */
export function span(seconds) {
  const s = Math.max(0, seconds);
  if (s < 99.5) return `${Math.round(s)} s`;
  if (s < 5_970) return `${Math.round(s / 60)} min`;
  if (s < 172_000) return `${Math.round(s / 3_600)} h`;
  return `${count(Math.round(s / 86_400))} d`;
}

/** How long ago something was. */
export function ago(seconds) {
  if (!Number.isFinite(seconds)) return "never";
  return seconds < 1.5 ? "now" : `${span(seconds)} ago`;
}

const two = (n) => String(n).padStart(2, "0");

/** A time in UTC, as short as it is unambiguous; fractions only where there are any. */
export function time(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const d = new Date(seconds * 1000);
  if (Number.isNaN(d.getTime())) return "–";
  const day = `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())}`;
  const ms = d.getUTCMilliseconds();
  const clock = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`;
  return `${day} ${clock}${ms ? `.${String(ms).padStart(3, "0")}` : ""}`;
}

/** Bytes as a person counts them. */
export function bytes(n) {
  if (typeof n !== "number") return "–";
  const units = ["B", "kB", "MB", "GB"];
  let i = 0;
  let size = n;
  while (size >= 999.5 && i < units.length - 1) {
    size /= 1000;
    i += 1;
  }
  return `${size < 10 && i ? size.toFixed(1) : Math.round(size)} ${units[i]}`;
}

/** A name of a field or a signal as words. */
export function words(name) {
  return name.replaceAll("_", " ");
}
