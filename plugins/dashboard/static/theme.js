// Light or dark as Airflow has it: its choice is kept under "theme" as light, dark or system.
// Loaded before anything is drawn. Pages that must redraw listen to the event "themechange" of the document.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    let chosen = "system";
    try { chosen = localStorage.getItem("theme") || "system"; } catch { /* storage is closed: as the system has it */ }
    const theme = chosen === "light" || chosen === "dark" ? chosen : system.matches ? "dark" : "light";
    if (document.documentElement.dataset.theme === theme) return;
    document.documentElement.dataset.theme = theme;
    document.dispatchEvent(new Event("themechange"));
  };
  follow();
  system.addEventListener("change", follow);
  addEventListener("storage", (event) => { if (event.key === "theme" || event.key === null) follow(); });
})();
