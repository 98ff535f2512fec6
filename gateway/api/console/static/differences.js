// How the answers of two versions to the same rows differ.

import {stringify} from "./json.js";

const FLOATS = ["float", "double", "half", "bfloat16"];
const MOST_CLASSES = 1000;

const shapeOf = (value) => (Array.isArray(value) ? [value.length, ...shapeOf(value[0])] : []);

/** A value as JSON text that is cut where it is long. */
export function brief(value) {
  const text = typeof value === "string" ? value : stringify(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

// A place of the largest number; a NaN is none.
const top = (numbers) => numbers.reduce((best, number, i) => (number > numbers[best] || Number.isNaN(numbers[best]) ? i : best), 0);

// Infinity where a difference is no number.
function gapOf(one, other) {
  const isWhole = [one, other].every((value) => typeof value === "bigint" || Number.isInteger(value));
  const gap = Math.abs(isWhole ? Number(BigInt(one) - BigInt(other)) : (one ?? NaN) - (other ?? NaN));
  return Number.isNaN(gap) ? Infinity : gap;
}

/**
 * How two answers to a row, {output: value}, differ: {gap, relative, isBeyond, isTopChanged, told}. Floats may differ by
 * atol + rtol * |a|; NaN equals NaN; all else must be equal. `gap` is the largest, and Infinity where it is no number;
 * `told` says where it is.
 */
export function difference(a, b, outputs, {rtol, atol}) {
  const found = {gap: 0, relative: 0, isBeyond: false, isTopChanged: false, told: ""};
  for (const {name, dtype} of outputs) {
    const [shape, otherShape] = [shapeOf(a[name]), shapeOf(b[name])];
    if (String(shape) !== String(otherShape)) {
      return {...found, gap: Infinity, relative: Infinity, isBeyond: true, told: `${name}: shapes [${shape}] and [${otherShape}]`};
    }
    const [ones, others] = [a[name], b[name]].map((value) => [value].flat(Infinity));
    const isFloat = FLOATS.includes(dtype);
    ones.forEach((one, i) => {
      const other = others[i];
      if (one === other || stringify(one) === stringify(other)) return;
      const gap = dtype === "string" ? 0 : gapOf(one, other);
      const size = Math.abs(Number(one));
      if (!found.told || gap > found.gap) Object.assign(found, {gap, told: `${name}${ones.length > 1 ? `[${i}]` : ""}: ${brief(one)} and ${brief(other)}`});
      if (gap) found.relative = Math.max(found.relative, gap / Math.max(size, Math.abs(Number(other))) || Infinity);
      found.isBeyond ||= !(isFloat && gap <= (size < Infinity ? atol + rtol * size : 0));
      found.isTopChanged ||= dtype === "string";
    });
    const classes = shape.at(-1);
    if (!isFloat || !(classes > 1 && classes <= MOST_CLASSES)) continue;
    for (let at = 0; at < ones.length; at += classes) {
      found.isTopChanged ||= top(ones.slice(at, at + classes)) !== top(others.slice(at, at + classes));
    }
  }
  return found;
}

/** How many gaps there are of each power of ten: [{label, count}], the smallest first. */
export function histogram(gaps) {
  const counts = new Map();
  for (const gap of gaps) {
    const power = gap && gap < Infinity ? Number(gap.toExponential().split("e")[1]) : gap || -Infinity;
    counts.set(power, (counts.get(power) ?? 0) + 1);
  }
  const label = (power) => (Number.isFinite(power) ? `1e${power} to 1e${power + 1}` : power > 0 ? "no number" : "0");
  return [...counts].sort(([one], [other]) => one - other).map(([power, count]) => ({label: label(power), count}));
}

const quoted = (value) => (value === undefined ? "" : `"${(typeof value === "string" ? value : stringify(value)).replaceAll('"', '""')}"`);

/** Objects of the same members as CSV, with their names on the first line. */
export const csv = (rows) => [Object.keys(rows[0]), ...rows.map(Object.values)].map((cells) => `${cells.map(quoted)}\r\n`).join("");
