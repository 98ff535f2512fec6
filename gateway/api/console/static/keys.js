// API keys: who has one, and new ones.

import {html, useState} from "./vendor/htm-preact.js";
import {call, usePoll} from "./api.js";
import {Ago, Confirm, Dialog, Form, Table, Waiting} from "./parts.js";

const SCOPES = ["predict", "metadata", "admin", "metrics"];
const HEAD = ["Name", "Id", "State", "Scopes", "Models", "Limits", "Made", "Expires", "Last used", "Change"];

export default function Keys({caller, announce}) {
  const keys = usePoll("admin/keys", 5);
  const [{Shown, name}, setForm] = useState({});
  const [made, setMade] = useState("");
  const send = async (order, body) => {
    try {
      const path = name ? `/${encodeURIComponent(name)}/${order}` : "";
      const {json} = await call(`admin/keys${path}`, {body, ifMatch: keys.etag});
      setMade(json.key ?? "");
      announce(`${name ?? body.name}: ${order} is done.`);
    } finally {
      keys.reload();
    }
  };
  const button = (text, form, name) => html`<button disabled=${!caller.can_change}
    aria-label=${name && `${text} ${name}`} onClick=${() => setForm({Shown: form, name})}>${text}</button> `;
  return html`<div><h1>Keys</h1>
    <${Waiting} ...${keys} />
    ${keys.data && html`<p>${button("New key", New)}</p>
      <${Table} label="Keys" head=${HEAD}>${keys.data.keys.map((row) => html`<tr key=${row.id} data-key=${row.name}>
        <th scope="row">${row.name}</th><td>${row.id}</td>
        <td><span class="state ${row.state === "live" ? "ok" : "warn"}">${row.state}</span></td>
        <td>${row.scopes.join(", ")}</td><td>${row.models.join(", ")}</td><td>${row.limits || "none"}</td>
        <td><${Ago} at=${row.created} /></td><td><${Ago} at=${row.expires} none="never" /></td>
        <td><${Ago} at=${row.last_used} none="never" /></td>
        <td>${button("Rotate", Rotate, row.name)} ${button("Disable", Disable, row.name)}</td>
      </tr>`)}<//>`}
    ${Shown && html`<${Shown} name=${name} send=${send} onClose=${() => setForm({})} />`}
    ${made && html`<${Made} text=${made} onClose=${() => setMade("")} />`}
  </div>`;
}

function New({send, onClose}) {
  const make = (form) => send("new", {
    name: form.get("name"),
    scopes: form.getAll("scope"),
    models: form.get("models").split(",").map((model) => model.trim()),
    limits: form.get("limits"),
    expires: form.get("expires") || null,
  });
  return html`<${Form} title="New key" action="Make the key" onDo=${make} onClose=${onClose}>
    <label>Name <input name="name" required autofocus autocomplete="off" /></label>
    <fieldset><legend>Scopes</legend>${SCOPES.map((scope, index) => html`<label>
      <input type="checkbox" name="scope" value=${scope} defaultChecked=${index < 2} /> ${scope}</label>`)}</fieldset>
    <label>Models: names or patterns with commas <input name="models" value="*" required /></label>
    <label>Limits, such as 100/day; 30/hour <input name="limits" placeholder="none" /></label>
    <label>Expires after, such as 90d <input name="expires" placeholder="never" /></label>
  <//>`;
}

const Rotate = ({name, send, onClose}) => html`<${Form} title="Rotate ${name}" action="Make a second key" onClose=${onClose}
  onDo=${(form) => send("rotate", {overlap: form.get("overlap")})}>
  <p>The new key may do what the old one may.</p>
  <label>The old key stays valid for <input name="overlap" value="24h" required autofocus /></label>
<//>`;

const Disable = ({name, send, onClose}) => html`<${Confirm} title="Disable a key" name=${name} action="Disable"
  onClose=${onClose} onDo=${() => send("disable", {})}><p>No key of this name is valid any more.</p><//>`;

function Made({text, onClose}) {
  const [said, setSaid] = useState("");
  const copy = () => (navigator.clipboard?.writeText(text) ?? Promise.reject()).then(() => setSaid("Copied."), () => setSaid("Copy it by hand."));
  return html`<${Dialog} title="The new key" onClose=${onClose}>
    <p>Keep it now: it is not shown again.</p>
    <label>Key <input readonly value=${text} onFocus=${({target}) => target.select()} /></label>
    <div class="row"><button onClick=${copy}>Copy</button><button onClick=${onClose}>I have kept it</button></div>
    <p role="status">${said}</p>
  <//>`;
}
