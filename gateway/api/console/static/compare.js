// Two versions of one model, or of two models: the same rows are sent to both.

import {html, useEffect, useRef, useState} from "./vendor/htm-preact.js";
import {brief} from "./answer.js";
import {call, usePoll} from "./api.js";
import {compare, histogram, unlike} from "./comparison.js";
import {readRows, readText} from "./files.js";
import {stringify} from "./json.js";
import {Bar, figure, hashOf, Problem, Select, Table, Waiting} from "./parts.js";
import {hasRows, tensorsOf, write} from "./tensor.js";

const SHOWN = 10; // rows of a table
const MOST_KEPT = 1 << 25; // characters of answers, besides those of the worst rows
const TOLERANCE = {rtol: "1e-4", atol: "1e-5"}; // as rollouts have it
const COLUMNS = ["row", "where", "values", "a", "b", "gap", "relative", "isBeyond", "isTopChanged", "told", "failed"];

const gapText = (gap) => (gap === Infinity ? "not finite" : figure(gap));
const byGap = (one, other) => (other.gap > one.gap) - (other.gap < one.gap) || one.row - other.row;
// A small number may differ by too much where a large one may not.
const byVerdict = (one, other) => other.isBeyond - one.isBeyond || other.isTopChanged - one.isTopChanged || byGap(one, other);
const jsonOf = (values) => `{${Object.entries(values).map(([name, value]) => `${stringify(name)}:${write(value)}`)}}`;
const short = (text) => (text.length > 100 ? `${text.slice(0, 100)}…` : text);

function sentence(rows, asked) {
  const answered = rows.filter(({failed}) => !failed);
  const count = (what) => answered.filter((row) => row[what]).length;
  const [worst] = [...answered].sort(byGap);
  const relative = Math.max(...answered.map((row) => row.relative));
  const gap = worst?.gap
    ? `The largest |Δ| is ${gapText(worst.gap)} (${worst.where}), and the largest relative one ${gapText(relative)}.`
    : "No numbers differ.";
  return `${rows.length} of ${asked} rows were compared. ${answered.length ? gap : ""} `
    + `Rows beyond the tolerance: ${count("isBeyond")}; with another top class or text: ${count("isTopChanged")}; `
    + `failed: ${rows.length - answered.length}.`;
}

function save(rows, isCsv) {
  const cell = (row, name) => (name === "values" ? jsonOf(row.values) : stringify(row[name] ?? null));
  const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
  const table = () => [COLUMNS, ...rows.map((row) => COLUMNS.map((name) => quoted(cell(row, name))))];
  const lines = () => rows.map((row) => `{${COLUMNS.map((name) => `"${name}":${cell(row, name)}`)}}\n`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(isCsv ? table().map((cells) => `${cells}\r\n`) : lines()));
  link.download = `comparison.${isCsv ? "csv" : "jsonl"}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

const select = (label, value, options, onChoose) => html`<${Select} ...${{label, value, options, onChoose}} />`;

function Result({rows, worst, asked, left, isCut, unlikeness, error, said, sides, signature}) {
  const answered = rows.filter(({failed}) => !failed);
  const failed = rows.filter((row) => row.failed);
  const isBad = error || failed.length || answered.some((row) => row.isBeyond);
  const tried = (row, {model, version}) => {
    const isRows = sides.every(({spec}) => hasRows(spec));
    const values = Object.entries(row.values).map(([name, value]) => [name, isRows ? [value] : value]);
    const inputs = jsonOf(Object.fromEntries(values));
    return hashOf("try", {model, version, signature, inputs: inputs.length < 4000 && inputs});
  };
  const shown = (answer) => sides[0].spec.outputs.map(({name, dtype}) =>
    html`<div>${name}: ${brief(answer[name] ?? null, dtype)}</div>`);
  const line = (row, cells) => html`<tr data-row=${row.row}><th scope="row">${row.where}</th>
    <td>${short(jsonOf(row.values))}</td>${cells.map((cell) => html`<td>${cell}</td>`)}
    <td>${sides.map((side, i) => html`<a href=${tried(row, side)}
      aria-label=${`Try ${row.where} in ${"AB"[i]}`}>${"AB"[i]}</a> `)}</td></tr>`;
  return html`<section>
    <h2>Result: ${sides.map(({model, version}, i) => `${"AB"[i]} is version ${version} of ${model}`).join(", ")}</h2>
    <${Problem} error=${error} />
    <p id="sentence" class=${isBad ? "bad" : "ok"}>${said}</p>
    ${unlikeness.map((text) => html`<p class="warn">${text}</p>`)}
    ${left.count > 0 && html`<div>${left.count} lines or records were left out:
      <ul>${left.told.map((text) => html`<li>${text}</li>`)}</ul></div>`}
    ${isCut && html`<p class="warn">The file has more than ${asked} rows. The others were not read.</p>`}
    ${answered.length > 0 && html`<${Table} label="Rows by their largest |Δ|" head=${["Largest |Δ|", ["Rows", "number"], "Share"]}>
      ${histogram(answered.map(({gap}) => gap)).map(({label, count}) => html`<tr><th scope="row">${label}</th>
        <td class="number">${count}</td>
        <td><${Bar} part=${count / answered.length} /></td></tr>`)}
    <//>`}
    ${worst.length > 0 && html`<${Table} label="The rows that differ most"
      head=${["Row", "Input", "A", "B", "|Δ|", "Relative", "Largest at", "Verdict", "Try in"]}>
      ${worst.map((row) => line(row, [shown(row.a), shown(row.b), gapText(row.gap), gapText(row.relative), row.told,
    `${row.isBeyond ? "beyond" : "within"} the tolerance${row.isTopChanged ? ", another top class or text" : ""}`]))}<//>`}
    ${failed.length > 0 && html`<${Table} label=${`The first of ${failed.length} rows that failed`}
      head=${["Row", "Input", "Error", "Try in"]}>
      ${failed.slice(0, SHOWN).map((row) => line(row, [row.failed]))}<//>`}
    ${rows.length > 0 && html`<p class="row"><button onClick=${() => save(rows, true)}>Download CSV</button>
      <button onClick=${() => save(rows, false)}>Download JSON lines</button></p>`}
  </section>`;
}

/** `params`: model, a and b (versions), model_b where B is another model's, signature. */
export default function Compare({params, go, announce}) {
  const models = usePoll("admin/console/models.json", 10);
  const [tolerance, setTolerance] = useState(TOLERANCE);
  const [text, setText] = useState("");
  const [file, setFile] = useState(null);
  const [job, setJob] = useState(null);
  const [result, setResult] = useState(null);
  const stop = useRef();
  useEffect(() => () => stop.current?.abort(), []);

  const all = models.data?.models ?? [];
  const versionsOf = (model) => (all.find(({name}) => name === model)?.versions ?? [])
    .filter(({state}) => state === "AVAILABLE").sort((one, other) => other.version - one.version);
  const newest = (model, nth) => versionsOf(model).slice(0, nth).at(-1)?.version;
  const choose = (changes) => go("compare", {...params, ...changes});
  const model = params.model ?? all[0]?.name;
  const other = params.model_b || model;
  const sides = [{model, version: params.a || newest(model, 2)}, {model: other, version: params.b || newest(other, 1)}];
  const signaturesOf = (side) => versionsOf(side.model).find(({version}) => version === side.version)?.signatures ?? [];
  const signatures = sides.map((side) => signaturesOf(side).map(({name}) => name))
    .reduce((ones, others) => ones.filter((name) => others.includes(name)));
  const signature = params.signature ?? ["serving_default", ...signatures].find((name) => signatures.includes(name));
  const numberOf = (typed) => (typed.trim() ? Number(typed) : NaN);
  const numbers = {rtol: numberOf(tolerance.rtol), atol: numberOf(tolerance.atol)};
  const isReady = signature && Object.values(numbers).every((number) => number >= 0) && (file || text.trim());

  const run = async (event) => {
    event.preventDefault();
    stop.current = new AbortController();
    const {signal} = stop.current;
    const found = {rows: [], worst: [], asked: 0, left: {count: 0, told: []}, unlikeness: [], sides, signature};
    const tell = (what) => (share) => setJob({what, share});
    const keep = (row, size) => {
      found.rows.push(row);
      if (row.told) found.worst = [...found.worst, row].sort(byVerdict);
      kept += size;
      const others = row.told ? found.worst.splice(SHOWN) : [row];
      if (kept > MOST_KEPT) others.forEach((one) => Object.assign(one, {a: null, b: null}));
      tell("Comparing")(found.rows.length / found.asked);
    };
    let kept = 0;
    setResult(null);
    tell("Reading")(0);
    try {
      const path = (side) => `v1/models/${encodeURIComponent(side.model)}/versions/${side.version}/metadata`;
      const answers = await Promise.all(sides.map((side) => call(path(side), {signal})));
      found.sides = sides.map((side, i) => ({...side, spec: tensorsOf(answers[i].json, signature)}));
      const specs = found.sides.map(({spec}) => spec);
      const read = await (file ? readRows : readText)(file ?? text, specs[0], tell("Reading"), signal);
      Object.assign(found, read, {rows: [], asked: read.rows.length, unlikeness: unlike(specs)});
      await compare(found.sides, read.rows, signature, numbers, keep, signal);
    } catch (error) {
      found.error = signal.aborted ? new Error("The comparison was cancelled.") : error;
      stop.current.abort();
    }
    found.rows.sort((one, next) => one.row - next.row);
    found.said = sentence(found.rows, found.asked);
    setJob(null);
    setResult(found);
    announce(found.error?.message ?? found.said);
  };

  const field = (label, name) => html`<label>${label} <input inputmode="decimal" value=${tolerance[name]}
    aria-invalid=${numbers[name] >= 0 ? null : "true"}
    onInput=${({target}) => setTolerance({...tolerance, [name]: target.value})} /></label>`;
  const names = all.map(({name}) => name);
  const listed = (side) => versionsOf(side.model).map(({version}) => version);
  return html`<div>
    <h1>Compare</h1>
    <${Waiting} ...${models} />
    <form onSubmit=${run}>
      <div class="row">
        ${select("Model of A", model, names, (chosen) => go("compare", {model: chosen}))}
        ${select("Version of A", sides[0].version, listed(sides[0]), (a) => choose({a}))}
        ${select("Model of B", other, names, (model_b) => choose({model_b, b: ""}))}
        ${select("Version of B", sides[1].version, listed(sides[1]), (b) => choose({b}))}
        ${select("Signature", signature, signatures, (chosen) => choose({signature: chosen}))}
        ${field("Relative tolerance", "rtol")} ${field("Absolute tolerance", "atol")}
      </div>
      <p><small>A float of B may differ from A's by absolute + relative × |A|. All else must be equal.</small></p>
      <label>Input as JSON: a body of a request, a row, or one on each line
        <textarea rows="4" value=${text} onInput=${({target}) => setText(target.value)}></textarea></label>
      <label>Or a file: JSON lines, CSV or PredictionLogs, as <code>log export</code> writes them
        <input type="file" onChange=${({target}) => setFile(target.files[0])} /></label>
      <p class="row"><button disabled=${!isReady || job}>Compare</button>
        ${job && html`<button type="button" onClick=${() => stop.current.abort()}>Cancel</button>
          <label>${job.what} <progress value=${job.share} max="1"></progress></label>`}</p>
    </form>
    ${result && html`<${Result} ...${result} />`}
  </div>`;
}
