// Draws every chart of the page with the colours of the style sheet, and again when these change.
(() => {
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const named = (names) => names.map((name) => style(`--${name}`));
  const config = () => ({
    background: "transparent",
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    axis: {
      labelColor: style("--soft"), titleColor: style("--soft"), gridColor: style("--line"), domainColor: style("--line"),
      tickColor: style("--line"), labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500, labelOverlap: "greedy",
    },
    legend: {
      labelColor: style("--ink"), titleColor: style("--soft"), labelFontSize: 12, titleFontSize: 12, orient: "top",
      titleFontWeight: 500, labelLimit: 220,
    },
    header: { labelColor: style("--ink"), titleColor: style("--soft"), labelFontSize: 12 },
    title: { color: style("--ink"), anchor: "start", fontSize: 13 },
    text: { color: style("--ink"), fontSize: 12 },
    bar: { fill: style("--c1"), cornerRadiusEnd: 2 },
    line: { stroke: style("--c1"), strokeWidth: 2 },
    area: { fill: style("--c1"), fillOpacity: 0.25 },
    point: { fill: style("--c1"), size: 30, filled: true },
    rule: { stroke: style("--soft") },
    range: {
      category: named(["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"]),
      ordinal: named(["heat0", "heat1", "heat2", "heat3"]),
      ramp: named(["heat0", "heat1", "heat2", "heat3"]),
      heatmap: named(["heat0", "heat1", "heat2", "heat3"]),
      diverging: named(["low", "paper", "high"]),
    },
  });
  const coloured = (part) => {
    if (typeof part === "string") return part.replace(/^var\((--[\w-]+)\)$/, (_, name) => style(name));
    if (Array.isArray(part)) return part.map(coloured);
    if (part && typeof part === "object")
      return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, key === "data" ? value : coloured(value)]));
    return part;
  };
  const temporal = (part) => {
    if (!part || typeof part !== "object") return [];
    const own = part.type === "temporal" ? [part.field] : [];
    return own.concat(...Object.entries(part).map(([key, value]) => (key === "data" ? [] : temporal(value))));
  };
  // Days and instants are those of UTC wherever the reader is: what names no zone is taken for the reader's own.
  const withoutZone = (spec) => {
    const fields = new Set(temporal(spec));
    for (const row of spec.data.values)
      for (const field of fields)
        if (typeof row[field] === "string") row[field] = `${row[field]}T00:00:00`.slice(0, 19);
    return spec;
  };
  const draw = async (figure) => {
    const plot = figure.querySelector(".plot");
    try {
      const spec = withoutZone(JSON.parse(figure.querySelector("script").textContent));
      await figure.drawn?.finalize();
      figure.drawn = await vegaEmbed(plot, coloured(spec), {
        actions: false, renderer: "svg", config: config(),
        tooltip: { theme: document.documentElement.dataset.theme === "dark" ? "dark" : "light" },
      });
      plot.querySelector("svg").setAttribute("aria-hidden", "true"); // The figure has its words and its table.
      plot.dataset.state = "drawn";
    } catch (error) {
      plot.dataset.state = "failed";
      plot.textContent = "This chart could not be drawn. Its numbers are in the table below.";
      console.error(figure.id, error);
    }
  };
  const drawAll = () => document.querySelectorAll("figure.chart").forEach(draw);
  drawAll();
  document.addEventListener("themechange", drawAll);
})();
