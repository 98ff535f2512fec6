// All versions: their state, what they do now, and the last ten minutes.

import {html, useState} from "./vendor/htm-preact.js";
import {usePoll} from "./api.js";
import {Chart, useRing} from "./charts.js";
import {Ago, figure, Problem, Table} from "./parts.js";

const PAGE = 50;
const WORDS = {
  AVAILABLE: ["ok", "Ready"],
  LOADING: ["warn", "Loading"],
  START: ["warn", "Not loaded yet"],
  UNLOADING: ["warn", "Unloading"],
  END: ["bad", "Unloaded"],
};
const HEAD = ["Model", "Version", "State", "Since", "Requests/s", "Failed/s", "p95 (ms)", "Weight", "Requests joined", "Go to"];

/** The view of all models; `params.model` chooses one whose versions are drawn. */
export default function Models({params, go}) {
  const {data, error} = usePoll("admin/console/models.json", 2);
  const ring = useRing(params.model);
  const [text, setText] = useState("");
  const [only, setOnly] = useState("");
  const [most, setMost] = useState(PAGE);
  const recent = ring.data?.recent ?? {};

  const rows = (data?.models ?? []).filter(({name}) => name.includes(text)).flatMap(rowsOf)
    .filter(({state}) => !only || (state === "AVAILABLE") === (only === "ready"));
  return html`<h1>Models</h1>
    <${Charts} ring=${ring} model=${params.model} onAll=${() => go("models")} />
    <h2>Versions</h2>
    <div class="row">
      <label>Filter by name <input type="search" value=${text} onInput=${(event) => setText(event.target.value)} /></label>
      <label>Show <select value=${only} onChange=${(event) => setOnly(event.target.value)}>
        <option value="">all</option><option value="ready">ready only</option><option value="not">not ready only</option>
      </select></label>
    </div>
    <${Problem} error=${error} />
    ${!data && !error && html`<p aria-busy="true">Loading…</p>`}
    ${data && !rows.length && html`<p>${data.models.length
      ? "No version is like this. Change the filter to see others."
      : "There are no models here that this key may see. The model server's models.config names the models that it loads."}</p>`}
    ${rows.length > 0 && html`<${Table} label="Versions of all models" head=${HEAD}>
      ${rows.slice(0, most).map((row) => html`<${Version} key=${`${row.name}/${row.version}`} row=${row}
        now=${recent[row.name]?.[row.version]} />`)}
    <//>
    <p class="row"><span>${Math.min(most, rows.length)} of ${rows.length} versions</span>
      ${rows.length > most && html`<button onClick=${() => setMost(most + PAGE)}>Show more</button>`}</p>`}`;
}

function rowsOf({name, problems, lagging, versions}) {
  const notes = [...problems, ...lagging];
  const newest = versions.map(({version}) => version).sort((one, other) => other - one);
  const all = versions.length ? versions : [{version: "", state: "", signatures: []}];
  return all.map((version) => ({...version, name, notes, newest}));
}

function Version({row, now}) {
  const {name, version, state, reason, notes, since, weight, arm, signatures, newest} = row;
  const [kind, word] = WORDS[state] ?? ["bad", state || "Unknown"];
  const link = (view, params, text) => html`<a href=${`#/${view}?${new URLSearchParams(params)}`}
    aria-label=${`${text}: ${name} ${version}`}>${text}</a> `;
  const apart = signatures.filter(({not_joined}) => not_joined);
  return html`<tr data-model=${name} data-version=${version}>
    <th scope="row"><a href=${`#/models?${new URLSearchParams({model: name})}`} title="Draw its versions">${name}</a></th>
    <td>${version || "–"}</td>
    <td><span class=${`state ${kind}`}>${word}</span>
      ${[reason, ...notes].map((note) => note && html`<br /><small>${note.message ?? note}</small>`)}</td>
    <td><${Ago} at=${since} /></td>
    ${[now?.requests_s, now?.failed_s, now?.p95_ms].map((value) => html`<td class="number">${figure(value)}</td>`)}
    <td>${weight === null || weight === undefined ? "–" : html`<span class="bar" aria-hidden="true"><span
      style=${{width: `${100 * weight}%`}}></span></span> ${+(100 * weight).toFixed(2)} % ${arm}`}</td>
    <td>${!signatures.length ? "–" : !apart.length ? "yes" : apart.map((signature) => html`<small>no, ${signature.name}:
      ${signature.not_joined}</small> `)}</td>
    <td>${version && link("try", {model: name, version}, "Try")}
      ${newest.length > 1 && link("compare", {model: name, a: newest[1], b: newest[0]}, "Compare")}
      ${link("rollouts", {model: name}, "Rollouts")} ${link("log", {model: name, version}, "Log")}</td>
  </tr>`;
}

function Charts({ring: {data, error}, model, onAll}) {
  if (!data) return error && html`<${Problem} error=${error} />`;
  const {t, total} = data;
  const versions = Object.entries((data.model?.name === model && data.model?.versions) || {});
  const by = (column) => versions.map(([version, columns]) => ({label: `version ${version}`, values: columns[column]}));
  const of = (labels) => Object.entries(labels).map(([column, label]) => ({label, values: total[column]}));
  return html`
    ${model && html`<p class="row"><span>The last ten minutes of <strong>${model}</strong></span>
      <button class="secondary" onClick=${onAll}>Draw all models</button></p>`}
    ${model && !versions.length && html`<p>No request for ${model} was counted in the last ten minutes.</p>`}
    <div class="charts">${!model ? html`
      <${Chart} title="Requests" unit="per second" t=${t}
        series=${of({requests: "all", failed: "failed (5xx)", refused: "refused (4xx)"})} />
      <${Chart} title="Time to answer" unit="ms" t=${t} series=${of({p50_ms: "p50", p95_ms: "p95"})} />
      <${Chart} title="Waiting" t=${t} series=${of({in_flight: "requests in flight", queue_rows: "rows in queues"})} />`
    : versions.length > 0 && html`
      <${Chart} title="Requests by version" unit="per second" t=${t} series=${by("requests")} />
      <${Chart} title="Failed by version" unit="per second" t=${t} series=${by("failed")} />
      <${Chart} title="p95 by version" unit="ms" t=${t} series=${by("p95_ms")} />`}
    </div>`;
}
