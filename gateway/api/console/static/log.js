// The newest rows of the prediction log.

import {html, useState} from "./vendor/htm-preact.js";
import {usePoll} from "./api.js";
import {stringify} from "./json.js";
import {Problem, Table} from "./parts.js";

const MOST_LETTERS = 5000;
const HEAD = ["Time", "Model", "Version", "Status", "Rows", "ms", "Cache", "Key", "Request"];

/** The view of the log; `params` are its filters. */
export default function Log({params, go}) {
  const [paused, setPaused] = useState(false);
  const [opened, setOpened] = useState("");
  const query = new URLSearchParams({model: "", version: "", status: "", ...params, n: 50});
  const {data, error} = usePoll(paused ? null : `admin/log?${query}`, 2);
  const filter = (name, text) => html`<label>${text} <input value=${params[name] ?? ""}
    onChange=${(event) => go("log", {...params, [name]: event.target.value.trim()})} /></label>`;
  return html`<h1>Log</h1>
    <div class="row">
      ${filter("model", "Model")} ${filter("version", "Version")} ${filter("status", "Status (500, 4xx …)")}
      <button onClick=${() => setPaused(!paused)}>${paused ? "Go on" : "Pause"}</button>
    </div>
    <${Problem} error=${error} />
    ${!data && !error && html`<p aria-busy="true">Loading…</p>`}
    ${data && !data.rows.length && html`<p>No request in the log is like this. Change the filters, or send one in Try.</p>`}
    ${data?.rows.length > 0 && html`<${Table} label="Newest requests first" head=${HEAD}>
      ${data.rows.map((row) => html`<${Row} key=${row.boot + row.seq} row=${row} values=${data.values} go=${go}
        open=${opened === row.request_id} onToggle=${(id) => setOpened(id === opened ? "" : id)} />`)}
    <//>`}`;
}

function Row({row, values, go, open, onToggle}) {
  const {model, version, request_id: request} = row;
  const kind = row.status < 400 ? "ok" : row.status < 500 ? "warn" : "bad";
  return html`<tr data-model=${model} data-version=${version}>
      <td><time datetime=${row.ts} title=${row.ts}>${new Date(row.ts).toLocaleTimeString()}</time></td>
      <td>${model}</td><td>${version ?? "–"}</td>
      <td><span class=${`state ${kind}`}>${row.status}</span> ${row.error}</td>
      <td class="number">${row.rows ?? "–"}</td><td class="number">${(row.total_us / 1000).toFixed(1)}</td>
      <td>${row.cache}</td><td>${row.key ?? "–"}</td>
      <td><button class="link" aria-expanded=${open} onClick=${() => onToggle(request)}>${request}</button></td>
    </tr>
    ${open && html`<tr><td colspan=${HEAD.length}>
      ${values ? html`<${Values} name="Inputs" tensors=${row.inputs} /><${Values} name="Outputs" tensors=${row.outputs} />`
        : html`<p>Inputs and outputs are shown to keys with the scope admin only.</p>`}
      <button onClick=${() => go("try", {model, version, signature: row.signature, request})}>Try again</button>
    </td></tr>`}`;
}

function Values({name, tensors}) {
  const text = tensors ? stringify(tensors) : "not kept";
  return html`<h2>${name}</h2><pre tabindex="0">${text.slice(0, MOST_LETTERS)}${text.length > MOST_LETTERS && " …"}</pre>`;
}
