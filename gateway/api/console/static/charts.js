// Lines over time by uPlot, and the figures of the last ten minutes.

import {html, useEffect, useRef, useState} from "./vendor/htm-preact.js";
import {usePoll} from "./api.js";
import {figure, Table} from "./parts.js";

const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3], [4, 8]];
const WINDOW_S = 600;
const MOST_ROWS = 60;
const dark = matchMedia("(prefers-color-scheme: dark)");

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
const clock = (seconds, style = "medium") => new Date(seconds * 1000).toLocaleTimeString([], {timeStyle: style, hourCycle: "h23"});

/**
 * A chart: t (unix seconds), series [{label, values}], marks [{t, text}] (upright lines), bounds [{value, text}] (level lines).
 * It stands still while the pointer is on it.
 */
export function Chart({title, unit, ...given}) {
  const [place, plot, isHeld, kept] = [useRef(), useRef(), useRef(false), useRef()];
  const [pointed, setPointed] = useState(null);
  const [isOpen, setOpen] = useState(false);
  const [isDark, setDark] = useState(dark.matches);
  if (!isHeld.current) kept.current = {marks: [], bounds: [], ...given};
  const {t, series} = kept.current;
  const labels = series.map(({label}) => label).join("\n");

  useEffect(() => {
    const axis = {stroke: colour("--text"), grid: {stroke: colour("--grid"), width: 1}};
    const size = () => ({width: place.current.clientWidth, height: 180});
    plot.current = new uPlot({
      ...size(),
      legend: {show: false},
      cursor: {y: false, drag: {x: false}},
      scales: {y: {range: (_, least, most) => {
        const values = [0, least ?? 0, most ?? 1, ...kept.current.bounds.map(({value}) => value)];
        return [Math.min(...values) * 1.1, Math.max(...values) * 1.1 || 1];
      }}},
      axes: [
        {...axis, space: 70, size: 32, values: (_, ticks, axis, space, step) => ticks.map((tick) => clock(tick, step < 60 ? "medium" : "short"))},
        {...axis, size: 55},
      ],
      series: [{}, ...series.map((_, index) => ({stroke: colour(`--line-${index % 5}`), width: 2, dash: DASHES[index % 5]}))],
      hooks: {draw: [() => drawRules(plot.current, kept.current)], setCursor: [({cursor}) => setPointed(cursor.idx)]},
    }, [[]], place.current);
    const fit = new ResizeObserver(() => requestAnimationFrame(() => place.current && plot.current.setSize(size())));
    fit.observe(place.current);
    const change = () => setDark(dark.matches);
    dark.addEventListener("change", change);
    return () => {
      fit.disconnect();
      dark.removeEventListener("change", change);
      plot.current.destroy();
    };
  }, [labels, isDark]);
  useEffect(() => {
    plot.current.setData([t, ...series.map(({values}) => values)]);
  }, [t, series, labels, isDark]);

  const at = pointed ?? t.length - 1;
  const hold = ({type}) => {
    isHeld.current = type === "pointerenter";
  };
  return html`<figure class="chart">
    <figcaption><strong>${title}</strong> ${unit} <small>${t[at] && clock(t[at])}</small></figcaption>
    <ul class="legend">${series.map(({label, values}, index) => html`<li>
      <svg width="34" height="6" aria-hidden="true"><path d="M0 3H34" style=${{stroke: `var(--line-${index % 5})`}}
        stroke-dasharray=${DASHES[index % 5].join(" ")} /></svg> ${label}: ${figure(values[at])}
    </li>`)}</ul>
    <div ref=${place} onPointerEnter=${hold} onPointerLeave=${hold} aria-hidden="true"></div>
    <details onToggle=${({target}) => setOpen(target.open)}>
      <summary>${title} as a table</summary>
      ${isOpen && html`<${Figures} title=${title} ...${kept.current} />`}
    </details>
  </figure>`;
}

function drawRules({ctx, bbox: {left, top, width, height}, valToPos}, {marks, bounds}) {
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colour("--text");
  ctx.font = `${12 * devicePixelRatio}px sans-serif`;
  ctx.setLineDash([4, 4]);
  const rule = (x, y, x2, y2, text) => {
    ctx.moveTo(x, y);
    ctx.lineTo(x2, y2);
    ctx.textAlign = x > left + width / 2 ? "right" : "left";
    ctx.fillText(` ${text} `, x, y - 4);
  };
  ctx.beginPath();
  for (const {t, text} of marks) {
    const x = valToPos(t, "x", true);
    if (x >= left && x <= left + width) rule(x, top + 12 * devicePixelRatio, x, top + height, text);
  }
  for (const {value, text} of bounds) {
    const y = valToPos(value, "y", true);
    rule(left, y, left + width, y, text);
  }
  ctx.stroke();
  ctx.restore();
}

function Figures({title, t, series, marks, bounds}) {
  const every = Math.ceil(t.length / MOST_ROWS);
  const shown = t.map((_, index) => index).filter((index) => (t.length - 1 - index) % every === 0).reverse();
  return html`<ul>
      ${marks.map((mark) => html`<li>${clock(mark.t)}: ${mark.text}</li>`)}
      ${bounds.map(({value, text}) => html`<li>${text}: ${figure(value)}</li>`)}
    </ul>
    <${Table} label=${title} head=${["Time", ...series.map(({label}) => label)]}>${shown.map((index) => html`<tr>
      <th scope="row">${clock(t[index])}</th>${series.map(({values}) => html`<td>${figure(values[index])}</td>`)}
    </tr>`)}<//>`;
}

/** ring.json, and of one model its versions, asked for each second and kept for ten minutes. */
export function useRing(model = "") {
  const more = ({t}) => `&since=${t.at(-1) ?? 0}`;
  return usePoll(`admin/console/ring.json?${new URLSearchParams({model})}`, 1, {join, more});
}

function join(old, fresh) {
  if (!old || fresh.t[0] <= old.t.at(-1)) return fresh; // after a change of the clock all of it comes
  const all = [...old.t, ...fresh.t];
  const first = all.findIndex((t) => t > fresh.now - WINDOW_S);
  // Columns and maps of columns; what one of them lacks is null for all of its seconds.
  const joined = (before, after) => {
    const some = before ?? after;
    if (Array.isArray(some)) {
      return [...(before ?? old.t.map(() => null)), ...(after ?? fresh.t.map(() => null))].slice(first);
    }
    return Object.fromEntries(Object.keys({...before, ...after}).map((name) => [name, joined(before?.[name], after?.[name])]));
  };
  const model = fresh.model && {...fresh.model, versions: joined(old.model?.versions, fresh.model.versions)};
  return {...fresh, t: joined(old.t, fresh.t), total: joined(old.total, fresh.total), model};
}
