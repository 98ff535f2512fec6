// Draws window.DASHBOARD, which data.js sets: {times, rows: [{title, panels: [{title, unit, kind, most, series}]}]}.
"use strict";

const COLOURS = ["#3366cc", "#dc7d00", "#1f8a4c", "#b3261e", "#7b3fb5", "#00838f", "#8d6e00", "#c2185b", "#546e7a", "#5d4037"];
const PLOT = { width: 340, height: 186 };

function shown(value, unit) {
  if (value === null || value === undefined) return "-";
  if (unit === "percentunit") return `${+(100 * value).toPrecision(3)} %`;
  if (unit === "bytes") return `${+(value / 1e6).toPrecision(3)} MB`;
  if (unit === "s") return seconds(value);
  return `${+value.toPrecision(3)}${{ reqps: "/s", ops: "/s", rowsps: "/s" }[unit] || ""}`;
}

function seconds(value) {
  if (value >= 2 * 86400) return `${Math.floor(value / 86400)} days`;
  if (value >= 2 * 3600) return `${Math.floor(value / 3600)} hours`;
  if (value >= 1 || value === 0) return `${+value.toPrecision(3)} s`;
  return `${+(1000 * value).toPrecision(3)} ms`;
}

function add(parent, name, text) {
  const made = parent.appendChild(document.createElement(name));
  if (text !== undefined) made.textContent = text;
  return made;
}

function latest(values) {
  return values.findLast((value) => value !== null);
}

function drawLines(article, panel, times) {
  const largest = Math.max(0, ...panel.series.flatMap((one) => one.values));
  const options = {
    ...PLOT,
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: () => [0, panel.most || largest * 1.1 || 1] } },
    axes: [
      { size: 24, font: "10px DejaVu Sans", grid: { stroke: "#eceff3" } },
      {
        size: 58,
        font: "10px DejaVu Sans",
        grid: { stroke: "#eceff3" },
        values: (plot, ticks) => ticks.map((tick) => shown(tick, panel.unit)),
      },
    ],
    series: [
      {},
      ...panel.series.map((one, index) => ({
        label: one.name,
        stroke: COLOURS[index % COLOURS.length],
        width: 1.5,
        points: { show: false },
      })),
    ],
  };
  new uPlot(options, [times, ...panel.series.map((one) => one.values)], add(article, "div"));
  const legend = add(article, "ul");
  panel.series.forEach((one, index) => {
    const entry = add(legend, "li");
    add(entry, "i").style.background = COLOURS[index % COLOURS.length];
    entry.append(one.name);
  });
}

function drawNumbers(article, panel) {
  for (const one of panel.series) {
    add(article, "strong", shown(latest(one.values), panel.unit));
    add(article, "span", one.name);
  }
}

function drawPanel(section, panel, times) {
  const article = add(section, "article");
  article.className = panel.kind;
  add(article, "h3", panel.title);
  if (!panel.series.length) add(article, "p", "no series").className = "empty";
  else if (panel.kind === "stat") drawNumbers(article, panel);
  else drawLines(article, panel, times);
}

const main = document.querySelector("main");
for (const row of window.DASHBOARD.rows) {
  add(main, "h2", row.title);
  const section = add(main, "section");
  for (const panel of row.panels) drawPanel(section, panel, window.DASHBOARD.times);
}
