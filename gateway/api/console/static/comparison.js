// The answers of two versions to the same rows, and how they differ.

import {outputsOf, sizes} from "./answer.js";
import {call} from "./api.js";
import {stringify} from "./json.js";
import {hasRows, LARGEST, write} from "./tensor.js";

const BATCH = 64; // rows
const LANES = 2; // each asks both versions at the same time
const ENDING = [0, 401, 403, 404, 429]; // statuses that the next request would get too
const MOST_CLASSES = 1000;

const top = (numbers) =>
  numbers.reduce((best, one, i) => (one > numbers[best] || Number.isNaN(numbers[best]) ? i : best), 0);

// Infinity where a difference is no finite number.
function gapOf(one, other) {
  const isWhole = [one, other].every((value) => typeof value === "bigint" || Number.isInteger(value));
  const gap = Math.abs(isWhole ? Number(BigInt(one) - BigInt(other)) : (one ?? NaN) - (other ?? NaN));
  return Number.isNaN(gap) ? Infinity : gap;
}

/**
 * How two answers {output: value} differ: {gap, relative, isBeyond, isTopChanged, told}. Floats may differ by
 * atol + rtol * |a|, NaN equals NaN, and all else must be equal. `gap` is the largest, and Infinity where it is not
 * finite; `told` says where it is.
 */
export function difference(a, b, outputs, {rtol, atol}) {
  const found = {gap: 0, relative: 0, isBeyond: false, isTopChanged: false, told: ""};
  for (const {name, dtype} of outputs) {
    const [shape, otherShape] = [sizes(a[name]), sizes(b[name])];
    if (`${shape}` !== `${otherShape}`) {
      const told = `${name}: shapes [${shape}] and [${otherShape}]`;
      return {...found, gap: Infinity, relative: Infinity, isBeyond: true, told};
    }
    const [ones, others] = [[a[name]].flat(Infinity), [b[name]].flat(Infinity)];
    const [isFloat, isText] = [dtype in LARGEST, dtype === "string"];
    ones.forEach((one, i) => {
      const other = others[i];
      if (one === other || stringify(one) === stringify(other)) return;
      const gap = isText ? 0 : gapOf(one, other);
      const size = Math.abs(Number(one));
      const place = `${name}[${shape.length ? i : ""}]`;
      if (!found.told || gap > found.gap) found.told = `${place}: ${stringify(one)} and ${stringify(other)}`;
      found.gap = Math.max(found.gap, gap);
      if (gap) found.relative = Math.max(found.relative, gap / Math.max(size, Math.abs(Number(other))) || Infinity);
      found.isBeyond ||= !(isFloat && gap <= (size < Infinity ? atol + rtol * size : 0));
      found.isTopChanged ||= isText;
    });
    const classes = shape.at(-1);
    for (let at = 0; isFloat && classes > 1 && classes <= MOST_CLASSES && at < ones.length; at += classes) {
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
  const label = (power) => (Number.isFinite(power) ? `1e${power} to 1e${power + 1}` : power > 0 ? "not finite" : "0");
  return [...counts].sort(([one], [other]) => one - other).map(([power, count]) => ({label: label(power), count}));
}

/** What two signatures do not have alike, in sentences. */
export const unlike = (signatures) => ["inputs", "outputs"].flatMap((kind) => {
  const [ones, others] = signatures.map((one) =>
    new Map(one[kind].map(({name, dtype, shape}) => [name, `${dtype}[${shape ?? "?"}]`])));
  const names = [...new Set([...ones.keys(), ...others.keys()])];
  return names.filter((name) => ones.get(name) !== others.get(name)).map((name) =>
    `The ${kind} differ: ${name} is ${ones.get(name) ?? "missing"} in A and ${others.get(name) ?? "missing"} in B.`);
});

// For each row its {answer} or {error}. A batch that fails is asked again in halves, down to the rows that fail.
async function ask(side, rows, request, signal) {
  const {inputs, signature, isRows} = request;
  const tensor = ({name}) => write(isRows ? rows.map(({values}) => values[name]) : rows[0].values[name]);
  const members = inputs.map((input) => `${stringify(input.name)}:${tensor(input)}`);
  const body = `{"signature_name":${stringify(signature)},"inputs":{${members}}}`;
  try {
    const path = `v1/models/${encodeURIComponent(side.model)}/versions/${side.version}:predict`;
    const {json, text} = await call(path, {body, signal});
    const {outputs} = side.spec;
    const found = outputsOf(json, outputs);
    const part = (i) => Object.fromEntries(outputs.map(({name}) => [name, isRows ? found[name]?.[i] : found[name]]));
    return rows.map((row, i) => ({answer: part(i), size: text.length / rows.length}));
  } catch (error) {
    if (signal.aborted || ENDING.includes(error.status)) throw error;
    if (rows.length === 1) return [{error: error.message, size: 0}];
    const half = rows.length >> 1;
    const [first, rest] = [rows.slice(0, half), rows.slice(half)];
    return [...await ask(side, first, request, signal), ...await ask(side, rest, request, signal)];
  }
}

/**
 * Asks two sides {model, version, spec} all rows {where, values}, and calls onRow({row, where, values, a, b, failed,
 * ...difference}, characters) for each, in any order. Throws ApiError where all rows would fail, and AbortError.
 */
export async function compare(sides, rows, signature, tolerance, onRow, signal) {
  const [{inputs, outputs}, other] = sides.map(({spec}) => spec);
  const request = {inputs, signature, isRows: sides.every(({spec}) => hasRows(spec))};
  const shared = outputs.filter(({name}) => other.outputs.some((one) => one.name === name));
  const size = request.isRows ? BATCH : 1;
  let next = 0;
  const lane = async () => {
    while (next < rows.length) {
      const from = next;
      next += size;
      const batch = rows.slice(from, next);
      const answers = await Promise.all(sides.map((side) => ask(side, batch, request, signal)));
      batch.forEach((row, i) => {
        const [a, b] = answers.map((side) => side[i]);
        const failed = [a.error && `A: ${a.error}`, b.error && `B: ${b.error}`].filter(Boolean).join(" ");
        const found = failed ? {} : difference(a.answer, b.answer, shared, tolerance);
        onRow({row: from + i, ...row, a: a.answer, b: b.answer, failed, ...found}, a.size + b.size);
      });
    }
  };
  await Promise.all(Array.from({length: LANES}, lane));
}
