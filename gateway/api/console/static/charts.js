// Lines over time by uPlot, and the figures of the last ten minutes.

import {html, useEffect, useRef, useState} from "./vendor/htm-preact.js";
import {usePoll} from "./api.js";
import {figure, Table} from "./parts.js";

const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3], [4, 8]];
const WINDOW_S = 600;
const MOST_ROWS = 60;
const scheme = matchMedia("(prefers-color-scheme: dark)");

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
const colourOf = (index) => colour(`--line-${index % 5}`);
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString();

/**
 * A chart: t (unix seconds), series [{label, values}], marks [{t, text}] (upright lines), bounds [{value, text}] (level lines).
 * It stands still while the pointer is on it.
 */
export function Chart({title, t, series, unit = "", marks = [], bounds = [], height = 180}) {
  const [place, chart, held, drawn] = [useRef(), useRef(), useRef(false), useRef()];
  const [at, setAt] = useState(null);
  const [open, setOpen] = useState(false);
  const [isDark, setDark] = useState(scheme.matches);
  if (!held.current) drawn.current = {t, series, marks, bounds};
  const {series: lines, ...shown} = drawn.current;
  const labels = lines.map(({label}) => label).join("\n");

  useEffect(() => {
    const axis = {stroke: colour("--pico-color"), grid: {stroke: colour("--pico-muted-border-color"), width: 1}};
    const range = (_, least, most) => {
      const values = [0, least ?? 0, most ?? 1, ...drawn.current.bounds.map(({value}) => value)];
      return window.uPlot.rangeNum(Math.min(...values), Math.max(...values, 1e-9), {min: {pad: 0, soft: 0, mode: 1}, max: {pad: 0.1}});
    };
    const options = {
      width: place.current.clientWidth,
      height,
      legend: {show: false},
      cursor: {y: false, drag: {x: false, y: false}},
      scales: {y: {range}},
      axes: [axis, {...axis, size: 55}],
      series: [{}, ...lines.map((_, index) => (
        {stroke: colourOf(index), width: 2, dash: DASHES[index % 5], points: {show: false}}))],
      hooks: {draw: [(plot) => rules(plot, drawn.current)], setCursor: [(plot) => setAt(plot.cursor.idx)]},
    };
    chart.current = new window.uPlot(options, [[]], place.current);
    const fit = new ResizeObserver(() => chart.current.setSize({width: place.current.clientWidth, height}));
    const recolour = () => setDark(scheme.matches);
    fit.observe(place.current);
    scheme.addEventListener("change", recolour);
    return () => {
      fit.disconnect();
      scheme.removeEventListener("change", recolour);
      chart.current.destroy();
    };
  }, [labels, isDark, height]);

  useEffect(() => {
    if (!held.current) chart.current.setData([shown.t, ...lines.map(({values}) => values)]);
  });

  const hold = (holds) => () => {
    held.current = holds;
  };
  const index = at ?? shown.t.length - 1;
  return html`<figure class="chart">
    <figcaption><strong>${title}</strong>${unit && ` (${unit})`} <small>${index >= 0 && clock(shown.t[index])}</small></figcaption>
    <ul class="legend">${lines.map(({label, values}, index_) => html`<li>
      <svg width="34" height="8" aria-hidden="true"><line x1="0" x2="34" y1="4" y2="4" stroke=${colourOf(index_)} stroke-width="3"
        stroke-dasharray=${DASHES[index_ % 5].join(" ")} /></svg> ${label}: ${figure(values[index])}
    </li>`)}</ul>
    <div ref=${place} onPointerEnter=${hold(true)} onPointerLeave=${hold(false)} aria-hidden="true"></div>
    <details onToggle=${(event) => setOpen(event.target.open)}>
      <summary>${title} as a table</summary>
      ${open && html`<${Figures} title=${title} lines=${lines} ...${shown} />`}
    </details>
  </figure>`;
}

function rules(plot, {marks, bounds}) {
  const {ctx, bbox} = plot;
  const pixels = devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colour("--pico-color");
  ctx.font = `${12 * pixels}px sans-serif`;
  ctx.setLineDash([3 * pixels, 3 * pixels]);
  ctx.beginPath();
  marks.forEach(({t, text}, index) => {
    const x = plot.valToPos(t, "x", true);
    if (!(x >= bbox.left && x <= bbox.left + bbox.width)) return;
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.textAlign = x > bbox.left + bbox.width / 2 ? "right" : "left";
    ctx.fillText(` ${text} `, x, bbox.top + (12 + 14 * (index % 3)) * pixels);
  });
  ctx.textAlign = "left";
  for (const {value, text} of bounds) {
    const y = plot.valToPos(value, "y", true);
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.fillText(` ${text}`, bbox.left, y - 4 * pixels);
  }
  ctx.stroke();
  ctx.restore();
}

function Figures({title, t, lines, marks, bounds}) {
  const every = Math.ceil(t.length / MOST_ROWS);
  return html`<ul>
      ${marks.map(({t, text}) => html`<li>${clock(t)}: ${text}</li>`)}
      ${bounds.map(({value, text}) => html`<li>${text}: ${figure(value)}</li>`)}
    </ul>
    <${Table} label=${title} head=${["Time", ...lines.map(({label}) => label)]}>
      ${t.map((second, index) => (t.length - 1 - index) % every === 0 && html`<tr>
        <th scope="row">${clock(second)}</th>${lines.map(({values}) => html`<td>${figure(values[index])}</td>`)}
      </tr>`).reverse()}
    <//>`;
}

/** ring.json of a model (or of all: ""), asked for each second and kept for ten minutes. -> {data, error} */
export function useRing(model = "") {
  const more = (ring) => `&since=${ring.t.at(-1) ?? ring.now}`;
  return usePoll(`admin/console/ring.json?model=${encodeURIComponent(model)}`, 1, {join: joined, more});
}

function joined(old, fresh) {
  if (!old) return fresh;
  const first = [...old.t, ...fresh.t].findIndex((t) => t > fresh.now - WINDOW_S);
  const column = (before, after) => [...(before ?? old.t.map(() => null)), ...(after ?? fresh.t.map(() => null))].slice(first);
  const columns = (before = {}, after = {}) => Object.fromEntries(
    [...new Set([...Object.keys(before), ...Object.keys(after)])].map((name) => [name, column(before[name], after[name])]));
  const versions = {};
  const [was, is] = [old.model?.versions ?? {}, fresh.model?.versions ?? {}];
  for (const version of new Set([...Object.keys(was), ...Object.keys(is)])) versions[version] = columns(was[version], is[version]);
  return {
    ...fresh,
    t: column(old.t, fresh.t),
    total: columns(old.total, fresh.total),
    model: fresh.model && {...fresh.model, versions},
  };
}
