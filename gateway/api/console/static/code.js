// The request as a program, in each dialect.

import {html, useRef, useState} from "./vendor/htm-preact.js";
import {write} from "./tensor.js";

const DATATYPES = {float: "FP32", double: "FP64", half: "FP16", bfloat16: "BF16", string: "BYTES"};

/** A text that a POSIX shell reads as one word, whatever is in it. */
export const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

const object = (members) => `{${members.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`;

/** The body of :predict: rows as "instances", else "inputs". `tokens`: the nested JSON texts of each input, by name. */
export function predictBody({inputs, signature, isRows}, tokens) {
  const only = inputs.length === 1 && inputs[0].name;
  const named = signature === "serving_default" ? [] : [["signature_name", JSON.stringify(signature)]];
  const all = (pick) => (only ? write(pick(tokens[only])) : object(inputs.map(({name}) => [name, write(pick(tokens[name]))])));
  const rows = isRows && tokens[inputs[0].name].map((_, row) => all((tensor) => tensor[row]));
  return object([...named, rows ? ["instances", write(rows)] : ["inputs", all((tensor) => tensor)]]);
}

/** The requests {path, body} for the same inputs by dialect; `problem` in place of them where it has none. */
export function requests({model, version, inputs, signature, isRows}, tokens, body) {
  const name = encodeURIComponent(model);
  const numbered = version ? `/versions/${version}` : "";
  const sizes = (tensor) => (Array.isArray(tensor) ? [tensor.length, ...sizes(tensor[0] ?? "")] : []);
  const infer = inputs.map((input) => object(Object.entries({
    name: JSON.stringify(input.name),
    datatype: JSON.stringify(DATATYPES[input.dtype] ?? input.dtype.toUpperCase()),
    shape: JSON.stringify(sizes(tokens[input.name])),
    data: write([tokens[input.name]].flat(Infinity)),
  })));
  const parameters = signature === "serving_default" ? [] : [["parameters", object([["signature_name", JSON.stringify(signature)]])]];
  const first = object(inputs.map((input) => [input.name, write(input.shape?.[0] === -1 ? tokens[input.name][0] : tokens[input.name])]));
  const problem = [
    signature !== "serving_default" && "it asks the default signature only",
    version && "it asks the version that clients get",
    isRows && tokens[inputs[0].name].length > 1 && "it takes one row, and this is the first",
  ].filter(Boolean).join("; ");
  return {
    v1: {path: `v1/models/${name}${numbered}:predict`, body},
    v2: {path: `v2/models/${name}${numbered}/infer`, body: object([...parameters, ["inputs", write(infer)]])},
    predict: {path: `predict/${name}`, body: first, problem},
  };
}

/** A request as a program. `language`: curl, Python or fetch; `url`: its whole address. */
export function program(language, url, body, needsKey) {
  const text = JSON.stringify;
  if (language === "curl") {
    const key = needsKey ? ' -H "Authorization: Bearer $GATEWAY_KEY"' : "";
    // Longer words are no arguments of a program.
    const [before, sent] = body.length < 30000 ? ["", quoted(body)] : [`printf %s ${quoted(body)} | `, "@-"];
    return `${before}curl -sS -H 'Content-Type: application/json'${key} --data-binary ${sent} ${quoted(url)}`;
  }
  if (language === "Python") {
    const key = needsKey ? ', "Authorization": "Bearer " + os.environ["GATEWAY_KEY"]' : "";
    return `${needsKey ? "import os\n\n" : ""}import requests\n\nbody = ${text(body)}\nanswer = requests.post(\n    ${text(url)},\n`
      + `    data=body.encode(),\n    headers={"Content-Type": "application/json"${key}},\n)\nprint(answer.text)`;
  }
  const key = needsKey ? ', Authorization: "Bearer $GATEWAY_KEY"' : "";
  return `const answer = await fetch(${text(url)}, {\n  method: "POST",\n  headers: {"Content-Type": "application/json"${key}},\n`
    + `  body: ${text(body)},\n});\nconsole.log(await answer.text());`;
}

/** What was sent as code that can be copied. */
export function Code({sent, caller, announce}) {
  const [dialect, setDialect] = useState("v1");
  const [language, setLanguage] = useState("curl");
  const block = useRef();
  const {path, body, problem} = sent[dialect];
  const code = program(language, new URL(`../${path}`, location.href).href, body, caller.keys === "on");
  const choice = (label, value, values, set) => html`<label>${label}
    <select value=${value} onChange=${(event) => set(event.target.value)}>${values.map((one) => html`<option>${one}</option>`)}</select></label>`;
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(code);
      announce("Copied");
    } catch {
      getSelection().selectAllChildren(block.current);
      announce("The browser does not let the page copy. The code is selected: copy it with Ctrl+C.");
    }
  };
  return html`<section aria-label="As code"><h2>As code</h2>
    <div class="row">${choice("Language", language, ["curl", "Python", "fetch"], setLanguage)}
      ${choice("Dialect", dialect, Object.keys(sent), setDialect)}
      <button type="button" onClick=${copy}>Copy</button></div>
    ${problem && html`<p class="note">The dialect ${dialect}: ${problem}.</p>`}
    <pre ref=${block} tabindex="0" data-code>${code}</pre></section>`;
}
