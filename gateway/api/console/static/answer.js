// The answer to a prediction: a table, bars, pictures, what the gateway says of it, and feedback.

import {html, useState} from "./vendor/htm-preact.js";
import {call} from "./api.js";
import {imageShape, Picture} from "./image.js";
import {parse, shown} from "./json.js";
import {Bar, Problem, Table} from "./parts.js";

const [MOST_ROWS, MOST_VALUES, MOST_FIRST, MOST_BARS, MOST_CLASSES] = [50, 20, 5, 5, 1000];
const HEADERS = {Version: "X-Model-Version", Rollout: "X-Rollout", Cache: "X-Cache", Request: "X-Request-Id"};

/** The sizes of nested arrays. */
export const sizes = (value) => (Array.isArray(value) ? [value.length, ...sizes(value[0])] : []);

/** Each output of a :predict answer by its name, with all rows. */
export function outputsOf({predictions, outputs: columns}, outputs) {
  const of = (given, name) => (outputs.length === 1 ? given : given[name]);
  return Object.fromEntries(outputs.map(({name}) => [name, predictions?.map((row) => of(row, name)) ?? of(columns, name)]));
}

/** {count, min, max, mean} of the numbers of a tensor; null without numbers. */
export function summary(value) {
  let [count, min, max, sum] = [0, Infinity, -Infinity, 0];
  for (const part of [value].flat(Infinity)) {
    const number = typeof part === "bigint" ? Number(part) : part;
    if (typeof number !== "number" || isNaN(number)) continue;
    [count, min, max, sum] = [count + 1, Math.min(min, number), Math.max(max, number), sum + number];
  }
  return count ? {count, min, max, mean: sum / count} : null;
}

function nested(value, dtype) {
  if (Array.isArray(value)) return `[${value.map((part) => nested(part, dtype)).join(", ")}]`;
  return typeof value === "string" ? value : value?.b64 === undefined ? shown(value, dtype) : `base64 ${value.b64}`;
}

/** All of a small tensor as text; of a large one its shape, bounds, mean and first elements. */
export function brief(value, dtype) {
  const shape = sizes(value);
  if (shape.reduce((count, size) => count * size, 1) <= MOST_VALUES) return nested(value, dtype);
  const found = summary(value);
  const bounds = found && ` from ${shown(found.min, dtype)} to ${shown(found.max, dtype)}, mean ${shown(found.mean, "float")}`;
  return `${dtype}[${shape}]${bounds ?? ""}: ${nested([value].flat(Infinity).slice(0, MOST_FIRST), dtype).slice(1, -1)}, …`;
}

/** A row of an output as bars or as a picture, where it looks like one. */
function Drawn({output: {name, dtype}, value, strings}) {
  const size = sizes(value);
  const found = dtype !== "string" && summary(value);
  if (!found) return null;
  if (size.length === 1 && size[0] > 1 && size[0] <= MOST_CLASSES) {
    const [low, high] = [Math.min(0, found.min), Math.max(1, found.max)];
    const labels = strings.find((one) => one.length === size[0]) ?? [];
    const order = [...value.keys()].sort((a, b) => Number(value[b]) - Number(value[a])).slice(0, MOST_BARS);
    return html`<${Table} label=${`${name}, the largest first`} head=${["Class", [name, "number"], "Share"]}>${order.map((at) => html`
      <tr data-class=${at}><th scope="row">${labels[at] ?? at}</th><td class="number">${shown(value[at], dtype)}</td>
        <td><${Bar} part=${(Number(value[at]) - low) / (high - low)} /></td></tr>`)}<//>`;
  }
  const picture = size.length > 1 && imageShape(size);
  return picture && html`<figure><figcaption>${name}</figcaption>
    <${Picture} row=${value} shape=${picture} ...${found} label=${`${name} as a picture`} /></figure>`;
}

/** `answer`: {headers, json, ms} of :predict; `outputs`: those of the signature; `isRows`: whether each has rows. */
export function Answer({answer: {headers, json, ms}, outputs, isRows}) {
  const [chosen, setChosen] = useState(0);
  const tensors = outputsOf(json, outputs);
  const count = isRows ? tensors[outputs[0].name].length : 1;
  const row = Math.min(chosen, count - 1);
  const at = (name, index) => (isRows ? tensors[name][index] : tensors[name]);
  const strings = outputs.filter(({dtype}) => dtype === "string").map(({name}) => at(name, row)).filter(Array.isArray);
  const times = (headers.get("Server-Timing") ?? "").split(",").map((one) => one.trim().split(/;\w+=/));
  const facts = [
    ...Object.entries(HEADERS).map(([title, name]) => [title, headers.get(name)]),
    ...times.map(([name, value]) => [name === "batch" ? "Rows of the batch" : `${name} (ms)`, value?.replaceAll('"', "")]),
    ["Round trip (ms)", ms.toFixed(1)],
  ];
  return html`<section aria-label="Answer" data-answer><h2>Answer</h2>
    <${Table} label="Outputs" head=${["Row", ...outputs.map(({name}) => name)]}>
      ${Array.from({length: Math.min(count, MOST_ROWS)}, (_, index) => html`<tr><th scope="row">${isRows ? index : "all"}</th>
        ${outputs.map(({name, dtype}) => html`<td data-output=${name}>${brief(at(name, index), dtype)}</td>`)}</tr>`)}
    <//>
    ${count > MOST_ROWS && html`<p>These are the first ${MOST_ROWS} of ${count} rows.</p>`}
    ${count > 1 && html`<label>Row to look at <input type="number" min="0" max=${count - 1} value=${row}
      onInput=${({target}) => setChosen(Math.max(0, Math.trunc(target.value)))} /></label>`}
    ${outputs.map((output) => html`<${Drawn} output=${output} value=${at(output.name, row)} strings=${strings} />`)}
    <dl class="facts">${facts.filter(([, value]) => value).map(([title, value]) =>
      html`<div><dt>${title}</dt><dd data-fact=${title}>${value}</dd></div>`)}</dl>
    <${Wrong} key=${headers.get("X-Request-Id")} id=${headers.get("X-Request-Id")} row=${row} />
  </section>`;
}

function Wrong({id, row}) {
  const [state, setState] = useState({});
  const send = async (event) => {
    event.preventDefault();
    let label = new FormData(event.target).get("label");
    try {
      label = parse(label);
    } catch { /* a text without quotes is a label too */ }
    try {
      await call("v1/feedback", {body: {request_id: id, row, label}});
      setState({said: `The gateway has the label of row ${row}.`});
    } catch (error) {
      setState({error});
    }
  };
  return html`<details><summary>This is wrong</summary><form onSubmit=${send} class="row">
    <label>What row ${row} should have been <input required name="label" autocomplete="off" /></label><button>Send feedback</button></form>
    <p role="status">${state.said}</p><${Problem} error=${state.error} /></details>`;
}
