/** All streams, kept as new as the service has them. */

import { Failure, get, pause } from "./api.js";

const WAIT_SECONDS = 20;
const LEAST_MS = 500;
const MOST_MS = 5_000;

export class Overview {
  /** @param {{changed: () => void, link: (state: "live" | "lost") => void}} listener */
  constructor(listener) {
    /** @type {Map<string, any>} */
    this.streams = new Map();
    this.loaded = false;
    this._listener = listener;
    this._cursor = null;
    this._skew = 0;
    this._abort = new AbortController();
  }

  /** The time by the service's clock, in seconds. */
  now() {
    return Date.now() / 1000 + this._skew;
  }

  stop() {
    this._abort.abort();
  }

  /** Ask again and again: what changed since the last time, no more than twice a second. */
  async run() {
    const signal = this._abort.signal;
    let failures = 0;
    while (!signal.aborted) {
      const begun = performance.now();
      try {
        this._take(await get(this._path(), signal));
        failures = 0;
        this._listener.link("live");
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Failure)) throw error;
        failures += 1;
        // A service that began anew counts anew, so everything is asked for once more.
        this._cursor = null;
        this._listener.link("lost");
      }
      const every = failures ? Math.min(LEAST_MS * 2 ** (failures - 1), MOST_MS) : LEAST_MS;
      await pause(every - (performance.now() - begun), signal);
    }
  }

  _path() {
    const since = this._cursor;
    return since === null
      ? "/v1/overview"
      : `/v1/overview?since=${encodeURIComponent(since)}&wait=${WAIT_SECONDS}`;
  }

  _take(answer) {
    const whole = this._cursor === null || answer.full === true;
    this._skew = Date.parse(answer.now) / 1000 - Date.now() / 1000;
    if (whole) {
      const present = new Set(answer.streams.map((each) => each.name));
      for (const name of this.streams.keys()) if (!present.has(name)) this.streams.delete(name);
    }
    for (const name of answer.gone) this.streams.delete(name);
    for (const stream of answer.streams) this.streams.set(stream.name, stream);
    this._cursor = answer.cursor;
    this.loaded = true;
    if (whole || answer.streams.length || answer.gone.length) this._listener.changed();
  }
}
