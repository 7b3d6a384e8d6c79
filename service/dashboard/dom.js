/** Elements without markup: whatever a stream is called, it is only ever text. */

/**
 * Make an element. Properties named `on…` are listeners, those of an element are set as such,
 * all others become attributes; null and false are left out.
 * @param {string} tag
 * @param {Record<string, unknown>} [props]
 * @param {...(Node | string | number | null | undefined | false)} children
 * @returns {any}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** Set text only where it differs, so that nothing is laid out or read aloud in vain. */
export function say(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** Set or remove an attribute, only where it differs. */
export function put(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/** Tell people who do not see the page; for changes of state alone. */
export function announce(text) {
  say(document.getElementById("announce"), text);
}

/** Say whether a key press is meant for a field, and not for the page. */
export function isTyping(event) {
  const target = event.target;
  return (
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    (target instanceof Element && target.closest("input, select, textarea, dialog") !== null)
  );
}

/** A button that copies text, where the browser allows that. */
export function copyButton(text) {
  const button = h("button", { class: "button small", type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy";
      const code = button.parentElement?.querySelector("code");
      if (code) getSelection()?.selectAllChildren(code);
    }
    setTimeout(() => say(button, "Copy"), 2000);
  });
  return button;
}

/** Call at most once an animation frame, and no more often than every so many milliseconds. */
export function paced(work, everyMs) {
  let waiting = false;
  let last = -Infinity;
  const run = () => {
    waiting = false;
    last = performance.now();
    work();
  };
  return () => {
    if (waiting) return;
    waiting = true;
    const rest = everyMs - (performance.now() - last);
    if (rest > 0) setTimeout(() => requestAnimationFrame(run), rest);
    else requestAnimationFrame(run);
  };
}

/** The colors of the theme, for what is drawn on a canvas. */
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(
    ["ink", "muted", "line", "accent", "band", "bad", "drift", "good", "wash", "surface"].map((name) => [
      name,
      color(name),
    ]),
  );
}
