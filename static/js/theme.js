// Runs before the page is painted, so that nobody who chose light sees a dark flash.
// The choice stays in this browser; no cookie is set. Without one the system decides.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: light)");
  let chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch {
    // Storage is switched off: the choice lasts as long as the page.
  }
  root.classList.add("js");
  const button = () => document.getElementById("theme");
  const bySystem = () => (system.matches ? "light" : "dark");

  function show() {
    const theme = chosen ?? bySystem();
    root.dataset.theme = theme;
    if (button()) button().textContent = theme === "dark" ? "Light" : "Dark";
  }

  show();
  system.addEventListener("change", show);
  document.addEventListener("DOMContentLoaded", () => {
    show();
    button().addEventListener("click", () => {
      const wanted = root.dataset.theme === "dark" ? "light" : "dark";
      chosen = wanted === bySystem() ? null : wanted;
      try {
        if (chosen) localStorage.setItem("theme", chosen);
        else localStorage.removeItem("theme");
      } catch {
        // As above.
      }
      show();
    });
  });
})();
