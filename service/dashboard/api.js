/** The public API, as the page asks it. */

/** A refusal of the service, or (with status 0) no answer at all. */
export class Failure extends Error {
  /** @param {number} status @param {Record<string, any>} problem */
  constructor(status, problem) {
    super(problem.detail || problem.title || "the service does not answer");
    this.status = status;
    this.problem = problem;
  }
}

/**
 * Get JSON, or throw a `Failure`.
 * @param {string} path
 * @param {AbortSignal} [signal]
 */
export async function get(path, signal) {
  let response;
  try {
    response = await fetch(path, { signal, headers: { Accept: "application/json" } });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Failure(0, {});
  }
  let content;
  try {
    content = await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    content = {};
    if (response.ok) throw new Failure(0, {});
  }
  if (!response.ok) throw new Failure(response.status, content);
  return content;
}

/** The path of a stream, or of something it has. */
export function of(name, rest = "") {
  return `/v1/streams/${encodeURIComponent(name)}${rest}`;
}

/** Wait, unless it is no longer wanted. */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve(undefined);
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}

/** Do something now and again, unless idle; what the service cannot answer now it may later. */
export async function repeat(everyMs, work, idle, signal) {
  while (!signal.aborted) {
    try {
      if (!idle()) await work();
    } catch (error) {
      if (!(error instanceof Failure) && !signal.aborted) throw error;
    }
    await pause(everyMs, signal);
  }
}
