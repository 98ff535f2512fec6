// Two versions of a model, or of two, side by side: the same rows are sent to both.

import {html, useEffect, useState} from "./vendor/htm-preact.js";
import {call, usePoll} from "./api.js";
import {brief, csv, difference, histogram} from "./differences.js";
import {readRows, rowsOf} from "./files.js";
import {parse, stringify} from "./json.js";
import {figure, Problem, Table} from "./parts.js";
import {hasRows, tensorsOf, write} from "./tensor.js";

const BATCH = 64; // rows
const LANES = 2; // each asks both versions at the same time
const SHOWN = 10; // rows in a table
const MOST_KEPT = 1 << 25; // characters of answers; those of the worst rows are kept anyway
const ENDING = [0, 401, 403, 404, 429]; // statuses that the next request would get too

// For each row its {answer} or {error}. A batch that fails is asked again in halves, so that each row fails for itself.
async function ask(side, rows, signature, signal) {
  const {inputs, outputs} = side.tensors;
  const isSplit = hasRows(side.tensors);
  const tensor = ({name}) => write(isSplit ? rows.map(({values}) => values[name]) : rows[0].values[name]);
  const members = inputs.map((input) => `${stringify(input.name)}:${tensor(input)}`);
  const body = `{"signature_name":${stringify(signature)},"inputs":{${members}}}`;
  try {
    const path = `v1/models/${encodeURIComponent(side.model)}/versions/${side.version}:predict`;
    const {json, text} = await call(path, {method: "POST", body, signal});
    const found = outputs.length > 1 ? json.outputs : {[outputs[0].name]: json.outputs};
    const size = text.length / rows.length;
    const part = (i) => Object.fromEntries(outputs.map(({name}) => [name, isSplit ? found[name]?.[i] : found[name]]));
    return rows.map((row, i) => ({answer: part(i), size}));
  } catch (error) {
    if (signal.aborted || ENDING.includes(error.status)) throw error;
    if (rows.length === 1) return [{error: error.message, size: 0}];
    const half = rows.length >> 1;
    const parts = [rows.slice(0, half), rows.slice(half)];
    return [...await ask(side, parts[0], signature, signal), ...await ask(side, parts[1], signature, signal)];
  }
}

const badness = (row) => (row.gap ?? -1) + (row.isTopChanged ? 1e-300 : 0);
const byBadness = (one, other) => badness(other) - badness(one) || other.isBeyond - one.isBeyond || one.row - other.row;

/** Asks both sides all rows, and calls onRow with {row, where, values, a, b, failed, ...difference} for each. */
async function compareRows(sides, rows, {signature, tolerance}, onRow, signal) {
  const outputs = sides[0].tensors.outputs.filter(({name}) => sides[1].tensors.outputs.some((other) => other.name === name));
  const size = sides.every(({tensors}) => hasRows(tensors)) ? BATCH : 1;
  let next = 0;
  const lane = async () => {
    while (next < rows.length) {
      const from = next;
      next += size;
      const batch = rows.slice(from, from + size);
      const [ones, others] = await Promise.all(sides.map((side) => ask(side, batch, signature, signal)));
      batch.forEach(({where, values}, i) => {
        const [{answer: a, error}, {answer: b, error: otherError}] = [ones[i], others[i]];
        const failed = [error && `A: ${error}`, otherError && `B: ${otherError}`].filter(Boolean).join(" ");
        const size = ones[i].size + others[i].size
        onRow({row: from + i, where, values, a, b, failed, ...(!failed && difference(a, b, outputs, tolerance))}, size);
      });
    }
  };
  await Promise.all(Array.from({length: LANES}, lane));
}

// What differs before anything is asked.
function unlike([a, b], kind) {
  const told = (tensors) => new Map(tensors[kind].map(({name, dtype, shape}) => [name, `${dtype}[${shape ?? "?"}]`]));
  const [ones, others] = [told(a.tensors), told(b.tensors)];
  return [...new Set([...ones.keys(), ...others.keys()])].filter((name) => ones.get(name) !== others.get(name)).map((name) =>
    `The ${kind} differ: ${name} is ${ones.get(name) ?? "not there"} in A and ${others.get(name) ?? "not there"} in B.`);
}

async function rowsIn(text, tensors, onProgress, signal) {
  let value;
  try {
    value = parse(text);
  } catch {
    return readRows(new File([text], "input.jsonl"), tensors, onProgress, signal);
  }
  const rows = rowsOf(value, tensors);
  return {rows: rows.map((values, i) => ({where: `row ${i}`, values})), left: {count: 0, told: []}, isCut: false};
}

const gapText = (gap) => (gap === Infinity ? "no number" : figure(gap));

function sentence(rows, asked) {
  const answered = rows.filter(({failed}) => !failed);
  const [worst] = answered.sort(byBadness);
  const relative = answered.reduce((most, row) => Math.max(most, row.relative), 0);
  const count = (what) => answered.filter((row) => row[what]).length;
  const gap = worst?.gap
    ? `The largest |Δ| is ${gapText(worst.gap)} (${worst.where}), the largest relative one ${gapText(relative)}.`
    : "No numbers differ.";
  return `${rows.length} of ${asked} rows were compared. ${answered.length ? gap : ""} ${count("isBeyond")} are beyond the
    tolerance, ${count("isTopChanged")} have another top class or text, ${rows.length - answered.length} failed.`;
}

function save(name, rows, isCsv) {
  const plain = rows.map(({values, relative, isBeyond, isTopChanged, ...row}) => ({
    row: row.row, where: row.where, inputs: values, a: row.a, b: row.b, gap: row.gap, relative, beyond_tolerance: isBeyond,
    top_changed: isTopChanged, told: row.told, failed: row.failed,
  }));
  const texts = isCsv ? [csv(plain)] : plain.map((row) => `${stringify(row)}\n`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(texts));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function Side({title, models, model, version, onChoose}) {
  const versions = models.find(({name}) => name === model)?.versions.map((one) => one.version) ?? [];
  const options = (all, chosen = "") => (all.includes(chosen) ? all : [chosen, ...all]).map((one) =>
    html`<option selected=${one === chosen}>${one}</option>`);
  return html`<fieldset class="row"><legend>${title}</legend>
    <label>Model of ${title} <select onChange=${(event) => onChoose(event.target.value, "")}>
      ${options(models.map(({name}) => name), model)}</select></label>
    <label>Version of ${title} <select onChange=${(event) => onChoose(model, event.target.value)}>
      ${options(versions, version)}</select></label>
  </fieldset>`;
}

function Result({result: {rows, asked, left, isCut, told, error, said}, sides, signature}) {
  const answered = rows.filter(({failed}) => !failed);
  const failed = rows.filter((row) => row.failed);
  const worst = answered.filter((row) => row.told).sort(byBadness).slice(0, SHOWN);
  const bins = histogram(answered.map(({gap}) => gap));
  const input = ({values}) => brief(Object.entries(values).map(([name, value]) => `${name}: ${write(value)}`).join(", "));
  const tryIt = ({values}, side) => `#/try?${new URLSearchParams({model: side.model, version: side.version, signature,
    inputs: brief(`{${Object.entries(values).map(([name, value]) => `${stringify(name)}:${write(value)}`)}}`)})}`;
  return html`<h2>Result</h2>
    <${Problem} error=${error} />
    <p class=${`state ${worst.some((row) => row.isBeyond) || failed.length ? "bad" : "ok"}`} id="sentence">${said}</p>
    ${told.map((text) => html`<p class="warn">${text}</p>`)}
    ${left.count > 0 && html`<p>${left.count} rows were left out:</p><ul>${left.told.map((text) => html`<li>${text}</li>`)}</ul>`}
    ${isCut && html`<p>The file has more than ${asked} rows; the others were not read.</p>`}
    ${answered.length > 0 && html`<${Table} label="Rows by their largest |Δ|" head=${["Largest |Δ|", "Rows", ""]}>
      ${bins.map(({label, count}) => html`<tr><th scope="row">${label}</th><td class="number">${count}</td>
        <td><span class="bar" aria-hidden="true"><span style=${{width: `${(100 * count) / answered.length}%`}}></span></span></td></tr>`)}
    <//>`}
    ${worst.length > 0 && html`<${Table} label="The rows that differ most"
      head=${["Row", "Input", "A", "B", "|Δ|", "Relative", "Where", "Verdict", "Try"]}>
      ${worst.map((row) => html`<tr data-row=${row.row}><th scope="row">${row.where}</th>
        <td>${input(row)}</td><td>${brief(row.a)}</td><td>${brief(row.b)}</td>
        <td class="number">${gapText(row.gap)}</td><td class="number">${gapText(row.relative)}</td><td>${row.told}</td>
        <td>${[row.isBeyond ? "beyond the tolerance" : "within the tolerance", row.isTopChanged && "another top class or text"].filter(Boolean).join(", ")}</td>
        <td>${sides.map((side, i) => html`<a href=${tryIt(row, side)}>Try in ${"AB"[i]}</a> `)}</td></tr>`)}
    <//>`}
    ${failed.length > 0 && html`<${Table} label=${`The first of ${failed.length} rows that failed`} head=${["Row", "Input", "Error"]}>
      ${failed.slice(0, SHOWN).map((row) => html`<tr data-row=${row.row}><th scope="row">${row.where}</th><td>${input(row)}</td><td>${row.failed}</td></tr>`)}
    <//>`}
    ${rows.length > 0 && html`<p class="row">
      <button onClick=${() => save("comparison.csv", rows, true)}>Download CSV</button>
      <button onClick=${() => save("comparison.jsonl", rows, false)}>Download JSON lines</button></p>`}`;
}

/** The view; `params`: model, a and b (versions), model_b where B is of another model, signature. */
export default function Compare({params, go, announce}) {
  const {data, error} = usePoll("admin/console/models.json", 10);
  const [metadata, setMetadata] = useState({});
  const [text, setText] = useState("");
  const [file, setFile] = useState(null);
  const [[rtol, atol], setTolerance] = useState(["1e-4", "1e-5"]); // those of a rollout
  const [job, setJob] = useState(null);
  const [result, setResult] = useState(null);
  const [problem, setProblem] = useState(null);
  const choose = (changes) => go("compare", {...params, ...changes});

  const model = params.model ?? data?.models[0]?.name;
  const versions = data?.models.find(({name}) => name === model)?.versions.map(({version}) => version).sort((one, other) => one - other) ?? [];
  const sides = [
    {model, version: params.a ?? versions.at(-2) ?? versions.at(-1)},
    {model: params.model_b ?? model, version: params.b ?? versions.at(-1)},
  ];
  const named = stringify(sides);
  useEffect(() => {
    const stop = new AbortController();
    setMetadata({});
    setProblem(null);
    if (sides.every(({version}) => version)) {
      const path = ({model, version}) => `v1/models/${encodeURIComponent(model)}/versions/${version}/metadata`;
      Promise.all(sides.map((side) => call(path(side), {signal: stop.signal}))).then(
        (answers) => setMetadata({named, of: answers.map(({json}) => json)}),
        (error) => stop.signal.aborted || setProblem(error));
    }
    return () => stop.abort();
  }, [named]);
  useEffect(() => () => job?.stop.abort(), [job?.stop]);

  const known = metadata.of?.map((one) => Object.keys(one.metadata.signature_def.signature_def)) ?? [[], []];
  const signatures = known[0].filter((name) => known[1].includes(name) && name !== "__saved_model_init_op").sort();
  const signature = signatures.includes(params.signature) ? params.signature : signatures.includes("serving_default") ? "serving_default" : signatures[0];
  const isReady = signature && [rtol, atol].every((one) => one.trim() && Number(one) >= 0) && (file || text.trim());

  const run = async (event) => {
    event.preventDefault();
    const stop = new AbortController();
    const asked = sides.map((side, i) => ({...side, tensors: tensorsOf(metadata.of[i], signature)}));
    const tell = (what) => (share) => setJob({stop, what, share});
    const rows = [];
    let read = {rows: [], left: {count: 0, told: []}};
    let failure = null;
    setResult(null);
    setProblem(null);
    try {
      tell("Reading")(0);
      read = file
        ? await readRows(file, asked[0].tensors, tell("Reading"), stop.signal)
        : await rowsIn(text, asked[0].tensors, tell("Reading"), stop.signal);
      await compareRows(asked, read.rows, {signature, tolerance: {rtol: Number(rtol), atol: Number(atol)}}, (row) => {
        rows.push(row);
        tell("Comparing")(rows.length / read.rows.length);
      }, stop.signal);
    } catch (error) {
      failure = stop.signal.aborted ? new Error("The comparison was cancelled.") : error;
      stop.abort();
    }
    rows.sort((one, other) => one.row - other.row);
    const said = sentence(rows, read.rows.length);
    const told = [...unlike(asked, "inputs"), ...unlike(asked, "outputs")];
    setResult({...read, rows, asked: read.rows.length, told, error: failure, said, sides: asked, signature});
    setJob(null);
    announce(failure ? failure.message : said);
  };

  return html`<h1>Compare</h1>
    <${Problem} error=${error ?? problem} />
    ${!data && !error && html`<p aria-busy="true">Loading…</p>`}
    <form onSubmit=${run}>
      <${Side} title="A" models=${data?.models ?? []} ...${sides[0]} onChoose=${(model, a) => choose({model, a})} />
      <${Side} title="B" models=${data?.models ?? []} ...${sides[1]} onChoose=${(model_b, b) => choose({model_b, b})} />
      <div class="row">
        <label>Signature <select onChange=${(event) => choose({signature: event.target.value})}>
          ${signatures.map((name) => html`<option selected=${name === signature}>${name}</option>`)}</select></label>
        <label>Relative tolerance <input inputmode="decimal" value=${rtol} onInput=${(event) => setTolerance([event.target.value, atol])} /></label>
        <label>Absolute tolerance <input inputmode="decimal" value=${atol} onInput=${(event) => setTolerance([rtol, event.target.value])} /></label>
      </div>
      <p><small>A and B differ where |B − A| is above absolute + relative × |A|. Whole numbers and texts must be equal.</small></p>
      <label>Input as JSON: a body, a row, or a line for each
        <textarea rows="4" value=${text} onInput=${(event) => setText(event.target.value)}></textarea></label>
      <label>Or a file: JSON lines, CSV or PredictionLogs
        <input type="file" onChange=${(event) => setFile(event.target.files[0])} /></label>
      <p class="row"><button disabled=${!isReady || job}>Compare</button>
        ${job && html`<button type="button" class="secondary" onClick=${() => job.stop.abort()}>Cancel</button>
          <label>${job.what} <progress value=${job.share} max="1"></progress></label>`}</p>
    </form>
    ${result && html`<${Result} result=${result} sides=${result.sides} signature=${result.signature} />`}`;
}
