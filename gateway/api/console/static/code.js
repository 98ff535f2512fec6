// The request as a program, in each dialect.

import {html, useRef, useState} from "./vendor/htm-preact.js";
import {sizes} from "./answer.js";
import {Select} from "./parts.js";
import {write} from "./tensor.js";

const DATATYPES = {float: "FP32", double: "FP64", half: "FP16", bfloat16: "BF16", string: "BYTES"};
const LANGUAGES = ["curl", "Python", "fetch"];
const LONGEST_WORD = 30000; // in a command line
const json = JSON.stringify;
const object = (members) => `{${members.map(([name, text]) => `${json(name)}:${text}`).join(",")}}`;

/** A text that a POSIX shell reads as one word, whatever is in it. */
export const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** {path, body, note} by dialect. `tokens`: the nested JSON texts of each input by name; `isRows`: v1 sends "instances". */
export function requests({model, version, inputs, signature, isRows}, tokens) {
  const only = inputs.length === 1 && inputs[0].name;
  const named = signature === "serving_default" ? [] : [["signature_name", json(signature)]];
  const all = (pick) => inputs.map(({name}) => [name, write(pick(tokens[name]))]);
  const some = (pick) => (only ? write(pick(tokens[only])) : object(all(pick)));
  const rows = isRows && tokens[inputs[0].name].map((_, row) => some((tensor) => tensor[row]));
  const infer = inputs.map(({name, dtype}) => object(Object.entries({
    name: json(name),
    datatype: json(DATATYPES[dtype] ?? dtype.toUpperCase()),
    shape: json(sizes(tokens[name])),
    data: write([tokens[name]].flat(Infinity)),
  })));
  const one = inputs.map(({name, shape}) => [name, write(shape?.[0] === -1 ? tokens[name][0] : tokens[name])]);
  const notes = [
    named.length > 0 && "it asks the default signature",
    version && "it asks the version that clients get",
    rows.length > 1 && "it takes one row, and this is the first",
  ];
  const [name, numbered] = [encodeURIComponent(model), version && `/versions/${version}`];
  return {
    v1: {
      path: `v1/models/${name}${numbered}:predict`,
      body: object([...named, rows ? ["instances", write(rows)] : ["inputs", some((tensor) => tensor)]]),
    },
    v2: {
      path: `v2/models/${name}${numbered}/infer`,
      body: object([...named.map((member) => ["parameters", object([member])]), ["inputs", write(infer)]]),
    },
    predict: {path: `predict/${name}`, body: object(one), note: notes.filter(Boolean).join("; ")},
  };
}

/** A request as a program in curl, Python or fetch. `url`: its whole address. */
export function program(language, url, body, needsKey) {
  const key = (text) => (needsKey ? text : "");
  if (language === "curl") {
    const [before, data] = body.length < LONGEST_WORD ? ["", quoted(body)] : [`printf %s ${quoted(body)} | `, "@-"];
    const auth = key(' -H "Authorization: Bearer $GATEWAY_KEY"');
    return `${before}curl -sS -H 'Content-Type: application/json'${auth} --data-binary ${data} ${quoted(url)}`;
  }
  if (language === "Python") {
    return `${key("import os\n\n")}import requests

body = ${json(body)}
headers = {"Content-Type": "application/json"${key(', "Authorization": "Bearer " + os.environ["GATEWAY_KEY"]')}}
print(requests.post(${json(url)}, data=body.encode(), headers=headers).text)`;
  }
  return `const answer = await fetch(${json(url)}, {
  method: "POST",
  headers: {"Content-Type": "application/json"${key(', Authorization: "Bearer $GATEWAY_KEY"')}},
  body: ${json(body)},
});
console.log(await answer.text());`;
}

/** What was sent, as code that can be copied. */
export function Code({sent, caller, announce}) {
  const [dialect, setDialect] = useState("v1");
  const [language, setLanguage] = useState("curl");
  const block = useRef();
  const {path, body, note} = sent[dialect];
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(block.current.textContent);
      announce("Copied");
    } catch {
      getSelection().selectAllChildren(block.current);
      announce("The browser lets no page copy here. The code is selected: copy it with Ctrl+C.");
    }
  };
  return html`<section aria-label="As code"><h2>As code</h2>
    <div class="row"><${Select} label="Language" value=${language} options=${LANGUAGES} onChoose=${setLanguage} />
      <${Select} label="Dialect" value=${dialect} options=${Object.keys(sent)} onChoose=${setDialect} />
      <button type="button" onClick=${copy}>Copy</button></div>
    ${note && html`<p class="note">The dialect ${dialect} differs: ${note}.</p>`}
    <pre ref=${block} tabindex="0" data-code>${program(language, new URL(`../${path}`, location.href).href, body, caller.keys === "on")}</pre>
  </section>`;
}
