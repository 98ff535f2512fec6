// All versions: their state, what they do now, and the last ten minutes.

import {html, useState} from "./vendor/htm-preact.js";
import {usePoll} from "./api.js";
import {Chart, useRing} from "./charts.js";
import {Ago, Bar, figure, hashOf, Select, Table, Waiting} from "./parts.js";

const PAGE = 50;
const WORDS = {
  AVAILABLE: ["ok", "Ready"],
  LOADING: ["warn", "Loading"],
  START: ["warn", "Not loaded yet"],
  UNLOADING: ["warn", "Unloading"],
  END: ["bad", "Unloaded"],
};
const HEAD = ["Model", "Version", "State", "Since", ["Requests/s", "number"], ["Failed/s", "number"],
  ["p95 (ms)", "number"], "Weight", "Joined", "Go to"];

/** The versions of `params.model` are drawn. */
export default function Models({params}) {
  const models = usePoll("admin/console/models.json", 2);
  const ring = useRing(params.model);
  const [text, setText] = useState("");
  const [only, setOnly] = useState("");
  const [most, setMost] = useState(PAGE);

  const all = models.data?.models ?? [];
  const rows = all.filter(({name}) => name.includes(text)).flatMap(rowsOf)
    .filter(({state}) => !only || (state === "AVAILABLE") === (only === "ready"));
  return html`<div><h1>Models</h1>
    ${all.filter(({rollout}) => rollout?.is_bad).map(({name, rollout}) => html`<p class="error">
      <a href=${hashOf("rollouts", {model: name})}>Version ${rollout.version} of ${name}: ${rollout.stands}</a></p>`)}
    <${Charts} ring=${ring} model=${params.model} />
    <div class="row">
      <label>Filter by name <input type="search" value=${text} onInput=${({target}) => setText(target.value)} /></label>
      <${Select} label="Show" value=${only} options=${[["", "all"], ["ready", "ready only"], ["not", "not ready only"]]} onChoose=${setOnly} />
    </div>
    <${Waiting} ...${models} />
    ${models.data && html`
      <${Table} label="Versions of all models" head=${HEAD}>${rows.slice(0, most).map((row) => html`
        <${Version} key=${`${row.name}/${row.version}`} ...${row} now=${ring.data?.recent[row.name]?.[row.version]} />`)}<//>
      ${!rows.length && html`<p>No version is like this. The model server's models.config names the models that it loads.</p>`}
      <p class="row"><span>${Math.min(most, rows.length)} of ${rows.length} versions</span>
        ${rows.length > most && html`<button onClick=${() => setMost(most + PAGE)}>Show more</button>`}</p>`}
  </div>`;
}

function rowsOf({name, problems: notes, versions}) {
  const newest = versions.filter(({state}) => state === "AVAILABLE").map(({version}) => version);
  const common = {name, notes, newest};
  return versions.length ? versions.map((version) => ({...version, ...common})) : [{signatures: [], ...common}];
}

function Version({name, version, state, reason, notes, since, now, weight, arm, signatures, newest}) {
  const [kind, word] = WORDS[state] ?? ["bad", "Unknown"];
  const link = (text, params) => html`<a href=${hashOf(text.toLowerCase(), {model: name, ...params})}
    aria-label=${`${text}: ${name} ${version ?? ""}`}>${text}</a> `;
  const apart = signatures.filter(({not_joined}) => not_joined);
  return html`<tr data-model=${name} data-version=${version}>
    <th scope="row"><a href=${hashOf("models", {model: name})} title="Draw its versions">${name}</a></th>
    <td>${version ?? "–"}</td>
    <td><span class="state ${kind}">${word}</span>
      ${[reason, ...notes].map((note) => note && html`<div class="small">${note}</div>`)}</td>
    <td class="whole"><${Ago} at=${since} /></td>
    ${[now?.requests_s, now?.failed_s, now?.p95_ms].map((value) => html`<td class="number">${figure(value)}</td>`)}
    <td class="whole">${typeof weight === "number" ? html`<${Bar} part=${weight} />
      ${" "}${+(100 * weight).toFixed(2)} % ${arm}` : "–"}</td>
    <td>${apart.length ? apart.map((signature) => html`<div class="small">no, ${signature.name}: ${signature.not_joined}</div>`)
      : signatures.length ? "yes" : "–"}</td>
    <td class="wide">${link("Try", {version})} ${newest.length > 1 && link("Compare", {a: newest[1], b: newest[0]})}
      ${" "}${link("Rollouts")} ${link("Log", {version})}</td>
  </tr>`;
}

function Charts({ring: {data, error}, model}) {
  if (!data) return html`<${Waiting} data="" error=${error} />`;
  const chart = (title, unit, series) => html`<${Chart} t=${data.t} ...${{title, unit, series}} />`;
  const total = (names) => Object.entries(names).map(([name, label]) => ({label, values: data.total[name]}));
  if (!model) {
    return html`<div class="charts">
      ${chart("Requests", "per second", total({requests: "all", failed: "failed (5xx)", refused: "refused (4xx)"}))}
      ${chart("Time to answer", "ms", total({p50_ms: "p50", p95_ms: "p95"}))}
      ${chart("Waiting", "", total({in_flight: "requests in flight", queue_rows: "rows in queues"}))}
    </div>`;
  }
  const versions = Object.entries((data.model?.name === model && data.model.versions) || {});
  const of = (name) => versions.map(([version, columns]) => ({label: `version ${version}`, values: columns[name]}));
  return html`<p>The last ten minutes of <strong>${model}</strong> · <a href="#/models">draw all models</a></p>
    ${versions.length ? html`<div class="charts">
      ${chart("Requests by version", "per second", of("requests"))}
      ${chart("Failed by version", "per second", of("failed"))} ${chart("p95 by version", "ms", of("p95_ms"))}
    </div>` : html`<p>It had no requests.</p>`}`;
}
