/** The page of a fresh service. */

import { copyButton, h } from "./dom.js";

const LEAD =
  "A stream is a named series of events with a learner of its own. " +
  "It appears here as soon as there is one.";

/** What a fresh service says: how the first stream is made. */
export function firstSteps() {
  const make = `curl -X PUT ${location.origin}/v1/streams/boiler \\
  -d '{"learner": {"kind": "sequence_memory"}}'`;
  const post = `curl ${location.origin}/v1/streams/boiler/events \\
  -H 'Content-Type: application/json' -d '{"x": {"temperature": 21.5}}'`;
  const step = (title, text, code) =>
    h(
      "li",
      {},
      h("h2", {}, title),
      h("p", {}, text),
      h(
        "div",
        { class: "code" },
        h("pre", { tabindex: "0" }, h("code", {}, code)),
        copyButton(code),
      ),
    );
  return h(
    "section",
    { class: "first", "aria-label": "First steps" },
    h("h1", {}, "Nothing to watch yet"),
    h("p", { class: "lead" }, LEAD),
    h(
      "ol",
      {},
      step("Make a stream", "No training, no tuning: it learns from what comes.", make),
      step(
        "Post an event",
        "Each answer says how surprising the event was; so does this page.",
        post,
      ),
    ),
  );
}
