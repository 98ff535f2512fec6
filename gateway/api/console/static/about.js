// What the gateway is and how it is set.

import {html} from "./vendor/htm-preact.js";
import {usePoll} from "./api.js";
import {Problem, Table} from "./parts.js";

/** The view of versions and settings. */
export default function About({caller}) {
  const allowed = caller.can_read("admin");
  const {data, error} = usePoll(allowed && "admin/settings", 60);
  const settings = data && [...data.settings].sort((one, other) => one.is_default - other.is_default);
  return html`<h1>About</h1>
    <p><a href="../docs">Documentation of all routes</a> · <a href="../openapi.json">openapi.json</a></p>
    ${!allowed && html`<p>The settings are shown to keys with the scope <code>admin</code>.</p>`}
    <${Problem} error=${error} />
    ${data && html`
      <dl class="facts">
        <dt>serving-gateway</dt><dd>${data.version}</dd><dt>Python</dt><dd>${data.python}</dd>
        ${Object.entries(data.packages).map(([name, version]) => html`<dt>${name}</dt><dd>${version}</dd>`)}
      </dl>
      <h2>Settings</h2>
      <${Table} label="Settings, changed ones first" head=${["Name", "Value", "Default", "Meaning"]}>
        ${settings.map((setting) => html`<tr>
          <th scope="row">${setting.name}</th>
          <td>${setting.is_default ? setting.value : html`<strong>${setting.value}</strong> (changed)`}</td>
          <td>${setting.default}</td><td>${setting.meaning}</td>
        </tr>`)}
      <//>`}`;
}
