// Try: a request made by a form, and its answer.

import {html, useEffect, useState} from "./vendor/htm-preact.js";
import {Answer} from "./answer.js";
import {call} from "./api.js";
import {Code, requests} from "./code.js";
import {Field, Grid, kindsOf, MOST_ROWS} from "./fields.js";
import {parse} from "./json.js";
import {Problem, Select, Waiting} from "./parts.js";
import {filled, hasRows, InputError, random, tensorsOf, tokens, typed} from "./tensor.js";

const DEFAULT = "serving_default";
const MOST_LOGGED = 10;
const isReady = ({state}) => state === "AVAILABLE";

/** `params`: model, version, signature, request (the id of a logged one to try again), inputs (JSON). */
export default function Try({caller, params, go, announce}) {
  const [models, setModels] = useState(null);
  const [metadata, setMetadata] = useState(null);
  const [error, setError] = useState(null);
  const ready = models?.filter(({versions}) => versions.some(isReady)) ?? [];
  const {model = ready[0]?.name ?? "", version = ""} = params;
  const place = `${encodeURIComponent(model)}${version && `/versions/${encodeURIComponent(version)}`}`;
  useEffect(() => {
    call("admin/console/models.json").then(({json}) => setModels(json.models), setError);
  }, []);
  useEffect(() => {
    setError(null);
    const stop = new AbortController();
    const {signal} = stop;
    if (model) {
      call(`v1/models/${place}/metadata`, {signal})
        .then(({json}) => setMetadata({...json, place}), (refusal) => signal.aborted || setError(refusal));
    }
    return () => stop.abort();
  }, [place]);
  const isThere = metadata?.place === place;
  const signatures = isThere ? metadata.metadata.signature_def.signature_def : {};
  const names = Object.keys(signatures).filter((name) => !name.startsWith("__"));
  const signature = params.signature ?? (names.includes(DEFAULT) ? DEFAULT : names[0]);
  const versions = models?.find(({name}) => name === model)?.versions.filter(isReady) ?? [];
  const choose = (label, value, options, param) => html`<${Select} ...${{label, value, options}}
    onChoose=${(chosen) => go("try", {...(param !== "model" && {model, version}), [param]: chosen})} />`;
  return html`<div><h1>Try</h1>
    <div class="row">
      ${choose("Model", model, ready.map(({name}) => name), "model")}
      ${choose("Version", version, [["", "as clients get it"], ...versions.map((one) => one.version)], "version")}
      ${choose("Signature", signature, names, "signature")}
    </div>
    ${models && !model ? html`<p>No model is ready. The view Models says why.</p>` : html`<${Waiting} error=${error} data=${isThere} />`}
    ${isThere && (names.includes(signature) ? html`<${Form} key=${`${place} ${signature} ${params.request} ${params.inputs}`}
        ...${{caller, announce, model, version, signature}} wanted=${params.request} given=${params.inputs} number=${metadata.model_spec.version}
        spec=${tensorsOf(metadata, signature)} />`
    : html`<p role="alert" class="error">The model has no signature ${signature}.</p>`)}</div>`;
}

function Form({caller, announce, model, version, signature, wanted, given, number, spec}) {
  const {inputs, outputs} = spec;
  const isRows = hasRows(spec);
  const each = (make) => Object.fromEntries(inputs.map((input) => [input.name, make(input)]));
  const [values, setValues] = useState(() => each((input) => filled(input, 1)));
  const [kinds, setKinds] = useState(() => each((input) => kindsOf(input, isRows)[0]));
  const [row, setRow] = useState(0);
  const [filling, setFilling] = useState(0);
  const [examples, setExamples] = useState([]);
  const [problem, setProblem] = useState(null);
  const [sent, setSent] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const count = isRows ? Math.max(...inputs.map(({name}) => values[name].length)) : 1;

  const fill = (found) => {
    const bad = inputs.find(({name}) => (found[name]?.shape ?? found[name]) === undefined || found[name].shape);
    if (bad) return setProblem(new InputError(bad.name, "values", "none: the log keeps a summary of a large tensor"));
    setValues(each(({name}) => typed(found[name])));
    setProblem(null);
    setRow(0);
    return setFilling((before) => before + 1);
  };
  useEffect(() => {
    if (given) fill(parse(given));
    const found = (path, read) => call(path, {headers: {Accept: "application/json"}}).then(({json}) => read(json), () => []);
    const own = (all = []) => all.filter((one) => (one.signature_name ?? DEFAULT) === signature);
    const name = encodeURIComponent(model);
    const query = new URLSearchParams({model, n: 2 * MOST_LOGGED, request: wanted ?? ""});
    Promise.all([
      found(`admin/console/examples/${name}/${number}`, own),
      found(`docs/models/${name}`, ({bodies}) => own(bodies)),
      caller.can("admin") ? found(`admin/log?${query}`, ({rows}) => rows) : [],
    ]).then(([brought, made, rows]) => {
      const logged = rows.filter((one) => one.inputs && one.signature === signature)
        .map(({request_id: id, inputs: values}) => ({name: `request ${id}`, id, values}));
      const named = [...brought, ...made].map((one) => ({name: one.name ?? "from the signature", values: columns(one, inputs)}));
      setExamples([...named, ...logged.slice(0, MOST_LOGGED)]);
      const again = logged.find(({id}) => id === wanted);
      if (again) fill(again.values);
      else if (wanted) setProblem({message: `The log shows no inputs of the request ${wanted}.`});
    });
  }, []);
  const choose = (chosen) => {
    if (chosen in examples) fill(examples[chosen].values);
    else fill(each((input) => filled(input, count, chosen === "random" ? () => random(input.dtype) : undefined)));
  };
  const setCount = (rows) => {
    const blank = each((input) => filled(input, Math.max(1, Math.min(MOST_ROWS, Math.trunc(rows)))));
    setValues(each(({name}) => blank[name].map((one, i) => values[name][i] ?? one)));
    setRow(0);
    setFilling(filling + 1);
  };
  const submit = async (event) => {
    event.preventDefault();
    setProblem(null);
    setBusy(true);
    try {
      const texts = each((input) => tokens(values[input.name], input));
      const odd = isRows && inputs.find(({name}) => texts[name].length !== count);
      if (odd) throw new InputError(odd.name, `${count} rows, as another input has`, texts[odd.name].length);
      const programs = requests({model, version, inputs, signature, isRows}, texts);
      const {path, body} = programs.v1;
      const answer = await call(path, {body, headers: {"X-Timing": "on"}});
      setSent({answer, programs});
      announce(`Version ${answer.headers.get("X-Model-Version")} answered.`);
    } catch (error) {
      setSent(null);
      setProblem(error);
    }
    setBusy(false);
  };
  const small = inputs.filter(({name}) => kinds[name] === "table");
  const about = problem && inputs.find(({name}) => isAbout(problem, name, inputs.length === 1));
  return html`<div><form onSubmit=${submit}>
      <div class="row">
        <${Select} label="Fill with" value="" options=${[["", "an example…"], ...examples.map(({name}, i) => [String(i), name]), ["random"], ["blank"]]}
          onChoose=${choose} />
        ${isRows && html`<label>Rows <input type="number" min="1" max=${MOST_ROWS} value=${count} onChange=${({target}) => setCount(target.value)} /></label>`}
        ${count > 1 && inputs.some(({name}) => /base64|picture/.test(kinds[name])) && html`<label>Row to edit <input type="number" min="0"
          max=${count - 1} value=${row} onInput=${({target}) => setRow(Math.max(0, Math.min(count - 1, Math.trunc(target.value))))} /></label>`}
        ${small.length > 0 && html`<button type="button"
          onClick=${() => setKinds({...kinds, ...Object.fromEntries(small.map(({name}) => [name, "JSON"]))})}>As JSON</button>`}
      </div>
      ${small.length > 0 && html`<${Grid} inputs=${small} ...${{isRows, count, values, setValues, setProblem}}
        problem=${small.includes(about) ? problem : null} />`}
      ${inputs.filter((input) => !small.includes(input)).map((input) => html`<${Field} key=${input.name}
        ...${{input, isRows, row, filling, setProblem}} kind=${kinds[input.name]} setKind=${(kind) => setKinds({...kinds, [input.name]: kind})}
        value=${values[input.name]} onValue=${(value) => setValues((before) => ({...before, [input.name]: value}))}
        range=${rangeOf(examples.map((one) => one.values[input.name]), input.dtype)} problem=${input === about ? problem : null} />`)}
      <button disabled=${isBusy || !caller.can("predict")} aria-busy=${isBusy}>Predict</button>
      ${!caller.can("predict") && html`<p>Predictions need a key with the scope <code>predict</code>.</p>`}
      ${!about && html`<${Problem} error=${problem} />`}
    </form>
    ${sent && html`<${Answer} answer=${sent.answer} outputs=${outputs} isRows=${isRows} />
      <${Code} sent=${sent.programs} caller=${caller} announce=${announce} />`}</div>`;
}

/** The inputs of a body of :predict by name, as whole tensors. */
function columns({inputs: given, instances}, inputs) {
  const isNamed = (one) => typeof one === "object" && one !== null && !Array.isArray(one) && one.b64 === undefined;
  const of = (one, name) => (isNamed(one) ? one[name] : one);
  return Object.fromEntries(inputs.map(({name}) => [name, instances?.map((one) => of(one, name)) ?? of(given, name)]));
}

/** What black and white are in the pictures of the examples. */
function rangeOf(given, dtype) {
  const values = given.flat(Infinity).map(Number).filter(Number.isFinite);
  const high = values.reduce((most, value) => Math.max(most, value), dtype === "uint8" ? 255 : 0);
  return {min: values.some((value) => value < 0) ? -1 : 0, max: [1, 16, 255].find((most) => high <= most) ?? high};
}

/** Whether a problem names an input: by its field, or by a pointer in its details or its text. */
function isAbout({field, details = [], message = ""}, name, isOnly) {
  if (field) return field === name || field.startsWith(`${name}[`);
  const pointers = [...details.map(({pointer}) => pointer), ...(message.match(/^\/(inputs|instances)[^\s:]*/gm) ?? [])];
  return pointers.some((pointer) => pointer && (isOnly || pointer.split("/").includes(name)));
}
