// What the gateway is and how it is set.

import {html} from "./vendor/htm-preact.js";
import {usePoll} from "./api.js";
import {Table, Waiting} from "./parts.js";

export default function About({caller}) {
  const isAllowed = caller.can_read("admin");
  const about = usePoll(isAllowed && "admin/settings", 60);
  const {version, python, packages, settings} = about.data ?? {};
  return html`<div><h1>About</h1>
    <p><a href="../docs">Documentation of all routes</a> · <a href="../openapi.json">openapi.json</a></p>
    ${isAllowed ? html`<${Waiting} ...${about} />`
      : html`<p>The settings are shown to keys with the scope <code>admin</code>.</p>`}
    ${settings && html`
      <dl class="facts">${Object.entries({"serving-gateway": version, Python: python, ...packages}).map(([name, text]) => html`
        <div><dt>${name}</dt><dd>${text}</dd></div>`)}</dl>
      <${Table} label="Settings, changed ones first" head=${["Setting", "Value", "Default", "Meaning"]}>
        ${[...settings].sort((one, other) => one.is_default - other.is_default).map((setting) => html`<tr>
          <th scope="row">${setting.name}</th><td>${setting.value} ${!setting.is_default && html`<strong>(changed)</strong>`}</td>
          <td>${setting.default}</td><td class="wide">${setting.meaning.split("`").map((part, i) => (i % 2 ? html`<code>${part}</code>` : part))}</td>
        </tr>`)}<//>`}
  </div>`;
}
