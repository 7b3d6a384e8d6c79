// Runs before the first paint, so that a dark page never flashes white.
(() => {
  const KEY = "synaptide-theme";
  const ORDER = ["system", "light", "dark"];
  let kept = null;
  try {
    kept = localStorage.getItem(KEY);
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
  let choice = ORDER.includes(kept) ? kept : "system";
  const dark = matchMedia("(prefers-color-scheme: dark)");

  function apply() {
    const shown = choice === "system" ? (dark.matches ? "dark" : "light") : choice;
    document.documentElement.dataset.theme = shown;
    dispatchEvent(new CustomEvent("themechange"));
  }

  /** The choice: system, light or dark; `next()` goes on to the next one. */
  window.theme = {
    get choice() {
      return choice;
    },
    next() {
      choice = ORDER[(ORDER.indexOf(choice) + 1) % ORDER.length];
      try {
        localStorage.setItem(KEY, choice);
      } catch {
        // As above.
      }
      apply();
    },
  };
  dark.addEventListener("change", apply);
  apply();
})();
