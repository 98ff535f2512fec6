// The answer to a prediction: a table, bars, pictures, what the gateway says of it, and what it should have been.

import {html, useState} from "./vendor/htm-preact.js";
import {call} from "./api.js";
import {Picture, imageShape} from "./image.js";
import {parse, shown} from "./json.js";
import {Problem, Table} from "./parts.js";

const [MOST_ROWS, MOST_VALUES, MOST_BARS, MOST_CLASSES] = [50, 20, 5, 1000];

/** The sizes of nested arrays. */
export const sizes = (value) => (Array.isArray(value) ? [value.length, ...sizes(value[0])] : []);

/** Each output of a :predict answer by name, with its rows. */
export function outputsOf({predictions, outputs: columns}, outputs) {
  const of = (given, name) => (outputs.length === 1 ? given : given[name]);
  return Object.fromEntries(outputs.map(({name}) => [name, predictions ? predictions.map((row) => of(row, name)) : of(columns, name)]));
}

/** {count, min, max, mean} of the numbers of a tensor; null without numbers. */
export function summary(value) {
  const found = {count: 0, min: Infinity, max: -Infinity, sum: 0};
  const add = (part) => {
    if (Array.isArray(part)) return part.forEach(add);
    const number = typeof part === "bigint" ? Number(part) : part;
    if (typeof number !== "number" || Number.isNaN(number)) return undefined;
    found.count += 1;
    found.sum += number;
    if (number < found.min) found.min = number;
    if (number > found.max) found.max = number;
    return undefined;
  };
  add(value);
  return found.count ? {count: found.count, min: found.min, max: found.max, mean: found.sum / found.count} : null;
}

function nested(value, dtype) {
  if (Array.isArray(value)) return `[${value.map((part) => nested(part, dtype)).join(", ")}]`;
  if (typeof value === "string") return dtype === "string" ? value : JSON.stringify(value);
  return value?.b64 === undefined ? shown(value, dtype) : `base64 ${value.b64}`;
}

/** A value in few words: all of a small tensor, else its shape, bounds, mean and first elements. */
export function brief(value, dtype) {
  const shape = sizes(value);
  if (shape.reduce((count, size) => count * size, 1) <= MOST_VALUES) return nested(value, dtype);
  const [found, first] = [summary(value), shape.slice(1).reduce((part) => part[0], value).slice(0, 5)];
  const bounds = found ? `, from ${shown(found.min, dtype)} to ${shown(found.max, dtype)}, mean ${shown(found.mean, "float")}` : "";
  return `${dtype}[${shape}]${bounds}: ${nested(first, dtype).slice(1, -1)}, …`;
}

function Bars({values, dtype, labels, name}) {
  const found = summary(values);
  const low = Math.min(0, found.min);
  const high = found.max <= 1 ? 1 : found.max;
  const top = values.map((value, at) => ({value, at})).sort((a, b) => (b.value > a.value) - (b.value < a.value)).slice(0, MOST_BARS);
  return html`<${Table} label=${`${name}: the ${top.length} largest of ${values.length}`} head=${["Class", name, ""]}>
    ${top.map(({value, at}) => html`<tr data-class=${at}><th scope="row">${labels?.[at] ?? at}</th>
      <td class="number">${shown(value, dtype)}</td>
      <td><span class="bar"><span style=${{width: `${(100 * (Number(value) - low)) / (high - low || 1)}%`}}></span></span></td></tr>`)}
  <//>`;
}

function Drawn({output: {name, dtype, shape}, value, strings}) {
  const size = sizes(value);
  const found = dtype === "string" ? null : summary(value);
  if (!found) return null;
  if (size.length === 1 && size[0] > 1 && size[0] <= MOST_CLASSES) {
    const labels = strings.find((one) => one.length === size[0]);
    return html`<${Bars} values=${value} dtype=${dtype} labels=${labels} name=${name} />`;
  }
  const picture = size.length > 1 && imageShape(size);
  return picture && html`<figure><figcaption>${name}</figcaption>
    <${Picture} row=${value} shape=${picture} range=${found} label=${`${name} as a picture`} /></figure>`;
}

/** `answer`: {headers, json, ms} of :predict; `outputs`: those of the signature; `hasRows`: whether the first size is that of rows. */
export function Answer({answer, outputs, hasRows}) {
  const [chosen, setChosen] = useState(0);
  const {headers, json, ms} = answer;
  const tensors = outputsOf(json, outputs);
  const count = hasRows ? tensors[outputs[0].name].length : 1;
  const row = Math.min(chosen, count - 1);
  const at = (name, index) => (hasRows ? tensors[name][index] : tensors[name]);
  const strings = outputs.filter(({dtype}) => dtype === "string").map(({name}) => at(name, row)).filter(Array.isArray);
  const rows = Array.from({length: Math.min(count, MOST_ROWS)}, (_, index) => index);
  return html`<section aria-label="Answer" data-answer><h2>Answer</h2>
    <${Table} label="Outputs" head=${[hasRows ? "Row" : "", ...outputs.map(({name}) => name)]}>
      ${rows.map((index) => html`<tr><th scope="row">${hasRows ? index : "all"}</th>
        ${outputs.map(({name, dtype}) => html`<td data-output=${name}>${brief(at(name, index), dtype)}</td>`)}</tr>`)}
    <//>
    ${count > MOST_ROWS && html`<p>These are the first ${MOST_ROWS} of ${count} rows.</p>`}
    ${count > 1 && html`<label>Row to look at <input type="number" min="0" max=${count - 1} value=${row}
      onInput=${(event) => setChosen(Math.max(0, Math.trunc(event.target.value)))} /></label>`}
    ${outputs.map((output) => html`<${Drawn} output=${output} value=${at(output.name, row)} strings=${strings} />`)}
    <${Facts} headers=${headers} ms=${ms} />
    <${Wrong} key=${headers.get("X-Request-Id")} id=${headers.get("X-Request-Id")} row=${row} />
  </section>`;
}

function Facts({headers, ms}) {
  const times = (headers.get("Server-Timing") ?? "").split(/,\s*/).filter(Boolean).map((one) => one.split(";"));
  const timed = times.map(([name, value = ""]) => [`${name}${name === "batch" ? "" : " (ms)"}`, value.replace(/^\w+="?|"$/g, "")]);
  const facts = [
    ...[["Version", "X-Model-Version"], ["Arm", "X-Rollout"], ["Cache", "X-Cache"]].map(([title, name]) => [title, headers.get(name)]),
    ...timed,
    ["Round trip (ms)", ms.toFixed(1)],
    ["Request", headers.get("X-Request-Id")],
  ];
  return html`<dl class="facts">${facts.filter(([, value]) => value).map(([title, value]) =>
    html`<dt>${title}</dt><dd data-fact=${title}>${value}</dd>`)}</dl>`;
}

function Wrong({id, row}) {
  const [label, setLabel] = useState("");
  const [state, setState] = useState({});
  const send = async (event) => {
    event.preventDefault();
    let value = label;
    try {
      value = parse(label);
    } catch { /* a text without quotes is a label too */ }
    try {
      await call("v1/feedback", {body: {request_id: id, row, label: value}});
      setState({said: `The gateway keeps the label of row ${row}.`});
    } catch (error) {
      setState({error});
    }
  };
  return html`<details><summary>This is wrong</summary><form onSubmit=${send} class="row">
    <label>What row ${row} should have been <input required value=${label} onInput=${(event) => setLabel(event.target.value)} /></label>
    <button>Send feedback</button></form>
    <p role="status">${state.said}</p><${Problem} error=${state.error} /></details>`;
}
