// Airflow shows the pages in a frame that may neither navigate the window nor open another one. Links to Airflow's own
// pages (data-airflow) are therefore followed by the window's document, which is of the same origin.
(() => {
  const outside = () => {
    try { return window.parent !== window && window.parent.document; } catch { return null; }
  };
  const follow = (event) => {
    const link = event.target.closest("a[data-airflow]");
    const parent = outside();
    if (!link || !parent || event.defaultPrevented || event.button > 1) return;
    event.preventDefault();
    const twin = parent.createElement("a");
    twin.href = link.href;
    if (event.button === 1 || event.ctrlKey || event.metaKey || event.shiftKey) {
      twin.target = "_blank";
      twin.rel = "noopener";
    }
    parent.body.append(twin);
    twin.click();
    twin.remove();
  };
  document.addEventListener("click", follow);
  document.addEventListener("auxclick", follow);
})();
