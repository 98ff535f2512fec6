// The newest rows of the prediction log.

import {html, useEffect, useState} from "./vendor/htm-preact.js";
import {usePoll} from "./api.js";
import {stringify} from "./json.js";
import {Table, Waiting} from "./parts.js";

const MOST_LETTERS = 5000;
const HEAD = ["Time", "Model", "Version", "Status", ["Rows", "number"], ["ms", "number"], "Cache", "Key", "Request"];

/** `params` are the filters. */
export default function Log({params, go}) {
  const [isPaused, setPaused] = useState(false);
  const [opened, setOpened] = useState("");
  const path = `admin/log?${new URLSearchParams({...params, n: 50})}`;
  const log = usePoll(!isPaused && path, 2);
  useEffect(() => setPaused(false), [path]);
  const toggle = (request) => {
    setOpened(opened === request ? "" : request);
    setPaused(true); // so that a row stays while it is read
  };
  const filter = (name, text) => html`<label>${text} <input key=${params[name]} defaultValue=${params[name] ?? ""}
    onChange=${({target}) => go("log", {...params, [name]: target.value.trim()})} /></label>`;
  return html`<div><h1>Log</h1>
    <div class="row">
      ${filter("model", "Model")} ${filter("version", "Version")} ${filter("status", "Status, such as 500 or 4xx")}
      <button onClick=${() => setPaused(!isPaused)}>${isPaused ? "Go on" : "Pause"}</button>
    </div>
    <${Waiting} ...${log} />
    ${log.data && html`<${Table} label="Requests, newest first" head=${HEAD}>${log.data.rows.map((row) => html`
      <${Row} key=${row.boot + row.seq} row=${row} hasValues=${log.data.values} go=${go} isOpen=${opened === row.request_id}
        onToggle=${() => toggle(row.request_id)} />`)}<//>
      ${!log.data.rows.length && html`<p>No request in the log is like this. Change the filters, or send one in Try.</p>`}`}
  </div>`;
}

function Row({row, hasValues, go, isOpen, onToggle}) {
  const {model, version, signature, status, request_id: request} = row;
  const kind = status < 400 ? "ok" : status < 500 ? "warn" : "bad";
  const values = (name) => html`<h2>${name}</h2>
    <pre tabindex="0">${row[name] ? stringify(row[name]).slice(0, MOST_LETTERS) : "They were not kept."}</pre>`;
  return html`<tr data-model=${model} data-version=${version}>
      <td><time datetime=${row.ts} title=${row.ts}>${new Date(row.ts).toLocaleTimeString([], {hourCycle: "h23"})}</time></td>
      <td>${model}</td><td>${version ?? "–"} ${row.arm === "stable" ? "" : row.arm}</td><td><span class="state ${kind}">${status}</span> ${row.error}</td>
      <td class="number">${row.rows ?? "–"}</td><td class="number">${(row.total_us / 1000).toFixed(1)}</td>
      <td>${row.cache}</td><td>${row.key ?? "–"}</td>
      <td><button aria-expanded=${isOpen} onClick=${onToggle}>${request}</button></td>
    </tr>
    ${isOpen && html`<tr><td colspan=${HEAD.length}>
      ${hasValues ? [values("inputs"), values("outputs")] : html`<p>Inputs and outputs are shown to keys with the scope admin.</p>`}
      <button onClick=${() => go("try", {model, version, signature, request})}>Try again</button>
    </td></tr>`}`;
}
