// Try: a request made by a form, and its answer.

import {html, useEffect, useState} from "./vendor/htm-preact.js";
import {call} from "./api.js";
import {Answer, brief} from "./answer.js";
import {Code, predictBody, requests} from "./code.js";
import {ImageField, imageShape} from "./image.js";
import {parse} from "./json.js";
import {Problem} from "./parts.js";
import {filled, hasRows, InputError, random, readJson, table, tensorsOf, text, tokens, typed} from "./tensor.js";

const [MOST_COLUMNS, MOST_CELLS, MOST_TEXT, MOST_ROWS] = [32, 600, 200000, 10000];
const BYTES_NAME = /bytes|b64|image|png|jpe?g|audio|file/i;

const select = (label, value, options, onChange) => html`<label>${label}
  <select value=${value} onChange=${(event) => onChange(event.target.value)}>
    ${options.map(([key, title = key]) => html`<option value=${key} selected=${key === value}>${title}</option>`)}
  </select></label>`;

/** The shape of one row; null if unknown. */
const rowShape = ({shape}, isRows) => (isRows ? shape.slice(1) : shape);

/** The widgets that an input may have, the best one first. */
function widgets(input, isRows) {
  const shape = rowShape(input, isRows);
  if (!shape) return ["JSON"];
  const count = shape.reduce((product, size) => product * size, 1);
  const isNumber = input.dtype !== "string" && input.dtype !== "bool";
  const picture = isNumber && imageShape(shape);
  const found = [];
  if (picture && !picture.flat) found.push("picture");
  if (input.dtype === "string" && !shape.length) found.push("base64");
  if (shape.length < 2 && count >= 0 && count <= MOST_COLUMNS) found[BYTES_NAME.test(input.name) ? "push" : "unshift"]("table");
  return [...found, "JSON", ...(picture?.flat ? ["picture"] : [])];
}

export default function Try({caller, params, go, announce}) {
  const [models, setModels] = useState(null);
  const [metadata, setMetadata] = useState(null);
  const [error, setError] = useState(null);
  const ready = models?.filter(({versions}) => versions.some(({state}) => state === "AVAILABLE")) ?? [];
  const model = params.model ?? ready[0]?.name;
  const {version = ""} = params;
  useEffect(() => {
    call("admin/console/models.json").then(({json}) => setModels(json.models), setError);
  }, []);
  useEffect(() => {
    setMetadata(null);
    if (!model) return;
    setError(null);
    const path = `v1/models/${encodeURIComponent(model)}${version && `/versions/${encodeURIComponent(version)}`}/metadata`;
    call(path).then(({json}) => setMetadata({of: `${model} ${version}`, ...json}), setError);
  }, [model, version]);
  const isCurrent = metadata?.of === `${model} ${version}`;
  const names = isCurrent ? Object.keys(metadata.metadata.signature_def.signature_def).filter((name) => !name.startsWith("__")) : [];
  const signature = params.signature ?? (names.includes("serving_default") ? "serving_default" : names[0]);
  const numbers = models?.find(({name}) => name === model)?.versions.filter(({state}) => state === "AVAILABLE") ?? [];
  const named = (name, value, others) => [...others.some(([key]) => key === value) ? [] : [[value]], ...others];
  return html`<h1>Try</h1>
    <div class="row">
      ${select("Model", model, named("", model ?? "", ready.map(({name}) => [name])), (name) => go("try", {model: name}))}
      ${select("Version", version, named("", version, [["", "as clients get it"], ...numbers.map((one) => [one.version])]),
    (chosen) => go("try", {model, version: chosen}))}
      ${select("Signature", signature, named("", signature ?? "", names.map((name) => [name])),
    (chosen) => go("try", {model, version, signature: chosen}))}
    </div>
    <${Problem} error=${error} />
    ${models && !ready.length && html`<p>No model is ready. Its state is in the view Models.</p>`}
    ${isCurrent && (names.includes(signature)
    ? html`<${Form} key=${`${metadata.of} ${signature}`} ...${{caller, params, announce, model, version, signature}}
        number=${metadata.model_spec.version} spec=${tensorsOf(metadata, signature)} />`
    : html`<p role="alert" class="error">The model has no signature ${signature}.</p>`)}
    ${!isCurrent && !error && html`<p aria-busy="true">Loading…</p>`}`;
}

function Form({caller, params, announce, model, version, signature, number, spec}) {
  const {inputs, outputs} = spec;
  const isRows = hasRows(spec);
  const blank = (rows, element) => Object.fromEntries(inputs.map((input) => [input.name, filled(input, rows, element?.(input))]));
  const [values, setValues] = useState(() => blank(1));
  const [kinds, setKinds] = useState(() => Object.fromEntries(inputs.map((input) => [input.name, widgets(input, isRows)[0]])));
  const [row, setRow] = useState(0);
  const [examples, setExamples] = useState([]);
  const [problem, setProblem] = useState(null);
  const [sent, setSent] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const [filling, setFilling] = useState(0);
  const count = isRows ? Math.max(...inputs.map(({name}) => values[name].length)) : 1;

  const fill = (example) => {
    const bad = inputs.find(({name}) => example.inputs[name] === undefined || example.inputs[name]?.shape);
    if (bad) return setProblem(new InputError(bad.name, "its values in the example", "none; a large tensor is logged as a summary"));
    setValues(Object.fromEntries(inputs.map(({name}) => [name, typed(example.inputs[name])])));
    setFilling((before) => before + 1);
    setProblem(null);
    return setRow(0);
  };
  useEffect(() => {
    if (params.inputs) fill({inputs: parse(params.inputs)});
    const found = (path, read) => call(path).then(({json}) => read(json), () => []);
    const own = (one) => (one.signature_name ?? "serving_default") === signature;
    const query = new URLSearchParams({model, status: "2xx", n: params.request ? 500 : 20});
    Promise.all([
      found(`admin/console/examples/${encodeURIComponent(model)}/${number}`, (list) => list.filter(own)),
      found(`docs/models/${encodeURIComponent(model)}`, ({bodies = []}) => bodies.filter(own).map((body) => ({name: "from the signature", ...body}))),
      found(`admin/log?${query}`, ({rows}) => rows.filter((one) => one.signature === signature && one.inputs)
        .map((one) => ({name: `request ${one.request_id}`, id: one.request_id, inputs: one.inputs}))),
    ]).then(([brought, made, logged]) => {
      const all = [...brought, ...made].map((one) => ({...one, inputs: columns(one, inputs)}));
      setExamples([...all, ...logged.slice(0, 10)]);
      const asked = params.request && logged.find(({id}) => id === params.request);
      if (asked) fill(asked);
      else if (params.request) setProblem({message: `The log shows no inputs of the request ${params.request}.`});
    });
  }, []);

  const edit = (name, value) => setValues((before) => ({...before, [name]: value}));
  const setCount = (rows) => {
    const wanted = Math.max(1, Math.min(MOST_ROWS, Math.trunc(rows) || 1));
    const more = blank(wanted);
    setValues((before) => Object.fromEntries(inputs.map(({name}) => [name, more[name].map((one, i) => before[name][i] ?? one)])));
    setRow((before) => Math.min(before, wanted - 1));
  };
  const submit = async (event) => {
    event?.preventDefault();
    setProblem(null);
    try {
      const made = Object.fromEntries(inputs.map((input) => [input.name, tokens(values[input.name], input)]));
      const odd = isRows && inputs.find(({name}) => made[name].length !== count);
      if (odd) throw new InputError(odd.name, `${count} rows, as another input has`, made[odd.name].length);
      const request = {model, version, inputs, signature, isRows};
      const body = predictBody(request, made);
      const programs = requests(request, made, body);
      setBusy(true);
      const answer = await call(programs.v1.path, {body, headers: {"X-Timing": "on"}});
      setSent({answer, programs});
      announce(`Version ${answer.headers.get("X-Model-Version")} answered.`);
    } catch (error) {
      setSent(null);
      setProblem(error);
    }
    setBusy(false);
  };
  const named = problem && inputs.find(({name}) => isAbout(problem, name));
  const columnsOf = inputs.filter(({name}) => kinds[name] === "table");
  const range = (name) => rangeOf(examples.map((one) => one.inputs[name]));
  return html`<form onSubmit=${submit} class="stacked">
      <div class="row">
        ${select("Fill with", "", [["", "choose an example"], ...examples.map(({name}, at) => [String(at), name]), ["random"], ["blank"]], (chosen) =>
    (chosen === "random" || chosen === "blank"
      ? fill({inputs: blank(count, chosen === "random" ? ({dtype}) => () => random(dtype) : undefined)})
      : chosen && fill(examples[chosen])))}
        ${isRows && html`<label>Rows <input type="number" min="1" max=${MOST_ROWS} value=${count} onChange=${(event) => setCount(event.target.value)} /></label>`}
        ${isRows && count > 1 && inputs.some(({name}) => /base64|picture/.test(kinds[name])) && html`<label>Row to edit
          <input type="number" min="0" max=${count - 1} value=${row} onInput=${(event) => setRow(Math.max(0, Math.min(count - 1, Math.trunc(event.target.value))))} /></label>`}
      </div>
      ${columnsOf.length > 0 && html`<${Grid} inputs=${columnsOf} ...${{isRows, count, values, setValues, setProblem}} problem=${problem} />`}
      ${inputs.map((input) => html`<${Field} key=${input.name} ...${{input, isRows, row, filling}} kind=${kinds[input.name]} value=${values[input.name]}
        range=${range(input.name)} setKind=${(kind) => setKinds({...kinds, [input.name]: kind})}
        edit=${(value) => edit(input.name, value)} setProblem=${setProblem} problem=${named === input ? problem : null} />`)}
      <button disabled=${isBusy || !caller.can("predict")} aria-busy=${isBusy}>Predict</button>
      ${!caller.can("predict") && html`<p>To predict needs a key with the scope <code>predict</code>.</p>`}
    </form>
    ${!named && html`<${Problem} error=${problem} />`}
    ${sent && html`<${Answer} answer=${sent.answer} outputs=${outputs} hasRows=${isRows} />
      <${Code} sent=${sent.programs} caller=${caller} announce=${announce} />`}`;
}

/** Inputs of a few elements: a line for each row, into which a spreadsheet's cells can be pasted. */
function Grid({inputs, isRows, count, values, setValues, setProblem, problem}) {
  const cells = inputs.flatMap((input) => {
    const [size] = rowShape(input, isRows);
    return size === undefined ? [{...input, label: input.name, path: []}]
      : Array.from({length: size}, (_, i) => ({...input, label: `${input.name}[${i}]`, path: [i]}));
  });
  const shown = Math.min(count, Math.ceil(MOST_CELLS / cells.length));
  const pathOf = ({path}, row) => (isRows ? [row, ...path] : path);
  const get = (cell, row) => pathOf(cell, row).reduce((part, i) => part?.[i], values[cell.name]) ?? "";
  const put = (edits) => setValues((before) => {
    const after = {...before};
    for (const [cell, row, typedText] of edits) after[cell.name] = replaced(after[cell.name], pathOf(cell, row), typedText, cell, isRows);
    return after;
  });
  const paste = (event, row, column) => {
    const pasted = event.clipboardData.getData("text/plain");
    if (!/[\t\n;,]/.test(pasted.trim())) return;
    event.preventDefault();
    try {
      const lines = table(pasted, cells).slice(0, isRows ? MOST_ROWS - row : 1);
      put(lines.flatMap((line, i) => line.flatMap((one, j) => (one === undefined || !cells[column + j] ? [] : [[cells[column + j], row + i, one]]))));
    } catch (error) {
      setProblem(error);
    }
  };
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Inputs"><table aria-label="Inputs">
      <thead><tr><th scope="col">Row</th>${cells.map(({label, dtype}) => html`<th scope="col">${label} <small>${dtype}</small></th>`)}</tr></thead>
      <tbody>${Array.from({length: shown}, (_, row) => html`<tr><th scope="row">${row}</th>${cells.map((cell, column) => html`<td>
        <input aria-label=${`${cell.label}, row ${row}`} value=${get(cell, row)}
          aria-invalid=${problem?.field === cell.name + pathOf(cell, row).map((i) => `[${i}]`).join("") || null}
          onInput=${(event) => put([[cell, row, event.target.value]])} onPaste=${(event) => paste(event, row, column)} /></td>`)}</tr>`)}
      </tbody></table></div>
    ${shown < count && html`<p>These are the first ${shown} of ${count} rows; the others are sent too.</p>`}`;
}

/** A copy of a tensor with another element at a path; rows that are missing before it are blank. */
function replaced(value, [first, ...rest], leaf, input, isRows) {
  if (first === undefined) return leaf;
  const copy = [...value];
  while (isRows && input && copy.length <= first) copy.push(filled(input, 1)[0]);
  copy[first] = replaced(copy[first], rest, leaf);
  return copy;
}

/** One input that is no part of the table, or the choice to make it one. */
function Field({input, isRows, row, filling, kind, value, range, setKind, edit, setProblem, problem}) {
  const {name, dtype, shape} = input;
  const label = `${name} (${dtype}${shape ? ` [${shape}]` : ""})`;
  const kinds = widgets(input, isRows);
  const current = isRows ? value[row] : value;
  const put = (one) => edit(isRows ? replaced(value, [row], one) : one);
  const chooseFile = async (event) => {
    const bytes = new Uint8Array(await event.target.files[0].arrayBuffer());
    put({b64: btoa(bytes.reduce((all, byte) => all + String.fromCharCode(byte), ""))});
  };
  const isWrong = problem ? "true" : null;
  return html`<div data-input=${name}>
    ${kinds.length > 1 && html`<div class="row">${select(`Widget of ${label}`, kind, kinds.map((one) => [one]), setKind)}</div>`}
    ${kind === "picture" && html`<${ImageField} key=${`${row} ${filling}`} ...${{label: name, row: current, shape: imageShape(rowShape(input, isRows)), dtype, range, onRow: put}} />`}
    ${kind === "base64" && html`<div class="row"><label>${label} as base64 <input aria-invalid=${isWrong} value=${current?.b64 ?? ""} onInput=${(event) => put({b64: event.target.value})} /></label>
      <label>or a file <input type="file" onChange=${chooseFile} /></label></div>`}
    ${kind === "JSON" && html`<${JsonField} key=${filling} ...${{input, label, value, edit, setProblem, isWrong}} />`}
    <${Problem} error=${problem} /></div>`;
}

function JsonField({input, label, value, edit, setProblem, isWrong}) {
  const [typedText, setTyped] = useState(() => text(value, input));
  const [isCut, setCut] = useState(typedText.length > MOST_TEXT);
  const change = (event) => {
    setTyped(event.target.value);
    try {
      edit(readJson(event.target.value, input));
      setProblem(null);
    } catch (error) {
      setProblem(error);
    }
  };
  if (isCut) return html`<p>${label}: ${brief(value, input.dtype)} <button type="button" onClick=${() => setCut(false)}>Show all as JSON</button></p>`;
  return html`<label>${label} as JSON, with all rows
    <textarea rows="6" spellcheck="false" aria-invalid=${isWrong} value=${typedText} onInput=${change}></textarea></label>`;
}

/** An example's inputs by name, as whole tensors. */
function columns({inputs: given, instances}, inputs) {
  const only = inputs.length === 1 && inputs[0].name;
  const isNamed = (one) => typeof one === "object" && one !== null && !Array.isArray(one) && one.b64 === undefined;
  if (!instances) return only && !isNamed(given) ? {[only]: given} : given;
  return Object.fromEntries(inputs.map(({name}) => [name, instances.map((one) => (isNamed(one) ? one[name] : one))]));
}

/** Which values the examples have: what black and white are in a picture. */
function rangeOf(given) {
  const values = given.flat(Infinity).map(Number).filter(Number.isFinite);
  const [low, high] = values.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [0, 0]);
  return {min: low < 0 ? -1 : 0, max: [1, 16, 255].find((most) => high <= most) ?? high};
}

/** Whether a refusal names an input, by its field, by a pointer or in its text. */
function isAbout({field, details = [], message = ""}, name) {
  if (field) return field === name || field.startsWith(`${name}[`);
  const pointers = [...details.map(({pointer}) => pointer), ...(message.match(/\/(inputs|instances)[^\s:;,]*/g) ?? [])];
  return pointers.some((pointer) => pointer?.split("/").includes(name));
}
