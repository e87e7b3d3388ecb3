// Lights the lines of the table that is pointed at or has the keyboard's focus.
document.querySelectorAll("figure.lineage svg").forEach((svg) => {
  const light = (event) => {
    const name = event.target.closest("[data-name]")?.dataset.name;
    svg.classList.toggle("chosen", Boolean(name));
    svg.querySelectorAll(".line").forEach((line) =>
      line.classList.toggle("lit", line.dataset.from === name || line.dataset.to === name));
  };
  svg.addEventListener("pointerover", light);
  svg.addEventListener("focusin", light);
  for (const kind of ["pointerleave", "focusout"])
    svg.addEventListener(kind, () => svg.classList.remove("chosen"));
});
