/** The results of one stream, each once and in order, through any number of broken connections. */

import { Failure, get, of, pause } from "./api.js";
import { KEPT } from "./series.js";

const FIRST_PAGE = 1_000;
const PAGE = 2_500;
const LEAST_MS = 500;
const MOST_MS = 4_000;
const STALLED_MS = 5_000;
const HIDDEN_MS = 60_000;

/**
 * @typedef {object} Listener
 * @property {(results: any[]) => void} newer
 * @property {(results: any[]) => void} older
 * @property {(state: "live" | "lost") => void} link
 * @property {(oldest: number, missed: number) => void} expired the oldest offset there still is
 * @property {() => void} anew the stream was deleted and made again
 * @property {() => void} gone
 */

export class Feed {
  /** @param {string} name @param {Listener} listener */
  constructor(name, listener) {
    this._name = name;
    this._listener = listener;
    this._abort = new AbortController();
    /** The offset of the last result handed on; null before the first answer. */
    this.last = null;
    this._behindSince = null;
    this._break = () => {};
    this._visibility = () => this._visible();
    document.addEventListener("visibilitychange", this._visibility);
  }

  stop() {
    this._abort.abort();
    this._break();
    clearTimeout(this._hiding);
    document.removeEventListener("visibilitychange", this._visibility);
  }

  async run() {
    const signal = this._abort.signal;
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (this.last === null) await this._begin(signal);
        await this._catchUp(signal);
        this._listener.link("live");
        failures = 0;
        await this._follow(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Failure)) throw error;
        if (error.status === 404) return this._listener.gone();
        if (error.status === 410 && this._expired(error.problem)) continue;
      }
      if (signal.aborted) return;
      this._listener.link("lost");
      await pause(Math.min(LEAST_MS * 2 ** failures, MOST_MS), signal);
      failures += 1;
      await this._untilVisible(signal);
    }
  }

  /** Compare with where the stream stands, as told by another reply. */
  stands(offset) {
    if (this.last === null) return;
    if (offset < this.last) {
      this.last = null;
      this._listener.anew();
      this._break();
    } else if (offset === this.last) this._behindSince = null;
    else if (this._behindSince === null)
      this._behindSince = { at: performance.now(), last: this.last };
    else if (this._behindSince.last !== this.last) this._behindSince = null;
    else if (performance.now() - this._behindSince.at > STALLED_MS) {
      this._behindSince = null;
      this._break();
    }
  }

  /** Show the newest page at once, then what is older, a page at a time. */
  async _begin(signal) {
    const { offset } = await get(of(this._name), signal);
    this.last = Math.max(0, offset - FIRST_PAGE);
    const first = this.last;
    await this._catchUp(signal);
    this._backfill(first, Math.max(0, offset - KEPT), signal).catch(() => {});
  }

  async _backfill(first, floor, signal) {
    let to = first;
    while (to > floor && !signal.aborted) {
      const after = Math.max(floor, to - PAGE);
      const page = await get(of(this._name, `/results?after=${after}&limit=${to - after}`), signal);
      if (!page.results.length) return;
      this._listener.older(page.results);
      to = after;
    }
  }

  async _catchUp(signal) {
    for (;;) {
      const page = await get(of(this._name, `/results?after=${this.last}&limit=${PAGE}`), signal);
      this._hand(page.results);
      if (page.results.length < PAGE) return;
    }
  }

  _hand(results) {
    const fresh = results.filter((each) => each.offset > this.last);
    if (fresh.length === 0) return;
    this.last = fresh[fresh.length - 1].offset;
    this._listener.newer(fresh);
  }

  /** Go on with the oldest result there still is; return whether that is further on. */
  _expired(problem) {
    const oldest = Number(problem.oldest);
    if (!(oldest > this.last + 1)) return false;
    this._listener.expired(oldest, oldest - 1 - this.last);
    this.last = oldest - 1;
    return true;
  }

  /** Take results as they come, until the connection breaks; then return or raise. */
  _follow(signal) {
    return new Promise((resolve, reject) => {
      const source = new EventSource(of(this._name, `/live?after=${this.last}`));
      const end = (error) => {
        source.close();
        if (error) reject(error);
        else resolve(undefined);
      };
      this._break = () => end(null);
      signal.addEventListener("abort", () => end(null), { once: true });
      source.addEventListener("error", () => end(null));
      source.addEventListener("problem", (event) => {
        const problem = JSON.parse(event.data);
        end(new Failure(problem.status ?? 500, problem));
      });
      source.addEventListener("result", (event) => {
        const result = JSON.parse(event.data);
        // One that is not the next is never shown: what lies between is asked for first.
        if (result.offset > this.last + 1) end(null);
        else this._hand([result]);
      });
    });
  }

  /** A page nobody looks at lets its connection go, and catches up when it is looked at. */
  _visible() {
    clearTimeout(this._hiding);
    if (document.hidden) this._hiding = setTimeout(() => this._break(), HIDDEN_MS);
  }

  _untilVisible(signal) {
    if (!document.hidden) return undefined;
    return new Promise((resolve) => {
      const look = () => {
        if (document.hidden && !signal.aborted) return;
        document.removeEventListener("visibilitychange", look);
        resolve(undefined);
      };
      document.addEventListener("visibilitychange", look);
      signal.addEventListener("abort", look);
    });
  }
}
