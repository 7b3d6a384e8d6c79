/** The page: which view is shown, the connection's notice, and the keys that always work. */

import { h, isTyping, put, say } from "./dom.js";
import { ListPage } from "./list.js";
import { StreamPage } from "./stream.js";

const main = document.getElementById("main");
const link = document.getElementById("link");
const keys = document.getElementById("keys");
const themeButton = document.getElementById("theme");

/** @type {{stop: () => void, element: HTMLElement, key?: (event: KeyboardEvent) => boolean} | null} */
let view = null;
let shown = null;

/** Say how the connection is; `null` leaves the place empty. */
function setLink(state, text) {
  put(link, "data-state", state);
  say(link, text ?? { live: "Live", lost: "Reconnecting …", paused: "Paused" }[state] ?? "");
}

/** Read `#/streams/NAME?…`; anything else is the list. */
function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [kind, name] = path.split("/");
  if (kind !== "streams" || !name) return { name: null, query };
  try {
    return { name: decodeURIComponent(name), query };
  } catch {
    return { name: null, query };
  }
}

function route() {
  const { name, query } = place();
  if (view && shown === name) {
    view.query?.(query);
    return;
  }
  view?.stop();
  shown = name;
  setLink("loading", "");
  view = name === null ? new ListPage(setLink, query) : new StreamPage(name, setLink, query);
  main.replaceChildren(view.element);
  scrollTo(0, 0);
  view.shown?.();
}

function nameTheme() {
  const choice = window.theme.choice;
  const shown = { system: "Auto", light: "Light", dark: "Dark" }[choice];
  say(themeButton, shown);
  put(themeButton, "aria-label", `Theme: ${shown}`);
}

document.getElementById("help").addEventListener("click", () => keys.showModal());
themeButton.addEventListener("click", () => {
  window.theme.next();
  nameTheme();
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  if (event.defaultPrevented || isTyping(event)) return;
  if (event.key === "?") keys.showModal();
  else if (event.key === "t") themeButton.click();
  else if (event.key === "u" && shown !== null) location.hash = "#/";
  else if (!view?.key?.(event)) return;
  event.preventDefault();
});
addEventListener("unhandledrejection", () => {
  main.append(h("p", { class: "notice" }, "Something went wrong on this page. Reload it."));
});

nameTheme();
route();
