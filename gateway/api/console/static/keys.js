// API keys: who has one, and new ones.

import {html, useState} from "./vendor/htm-preact.js";
import {call, usePoll} from "./api.js";
import {Ago, Confirm, Dialog, Problem, Table} from "./parts.js";

const SCOPES = ["predict", "metadata", "admin", "metrics"];
const HEAD = ["Name", "Id", "State", "Scopes", "Models", "Limits", "Made", "Expires", "Last used", "Change"];

/** The view of the keys. */
export default function Keys({caller, announce}) {
  const {data, error, etag, reload} = usePoll("admin/keys", 5);
  const [dialog, setDialog] = useState(null);
  const [made, setMade] = useState(null);
  const close = () => setDialog(null);
  const change = async (path, body, said) => {
    try {
      const {json} = await call(`admin/keys${path}`, {body, ifMatch: etag});
      close();
      if (json.key) setMade(json.key);
      announce(said);
    } finally {
      reload();
    }
  };
  const of = ({name}) => `/${encodeURIComponent(name)}`;
  return html`<h1>Keys</h1>
    <${Problem} error=${error} />
    ${!data && !error && html`<p aria-busy="true">Loading…</p>`}
    ${data && html`
      <button disabled=${!caller.can_change} onClick=${() => setDialog({form: New})}>New key</button>
      ${data.keys.length ? html`<${Table} label="Keys" head=${HEAD}>${data.keys.map((row) => html`<${Row} key=${row.id}
        row=${row} caller=${caller} onForm=${(form) => setDialog({form, row})} />`)}<//>`
      : html`<p>There are no keys, so nobody is let in. Make one.</p>`}`}
    ${dialog?.form === New && html`<${New} onClose=${close}
      onDo=${(body) => change("", body, `The key ${body.name} was made.`)} />`}
    ${dialog?.form === Rotate && html`<${Rotate} row=${dialog.row} onClose=${close}
      onDo=${(body) => change(`${of(dialog.row)}/rotate`, body, `The key ${dialog.row.name} was rotated.`)} />`}
    ${dialog?.form === Confirm && html`<${Confirm} title="Disable a key" name=${dialog.row.name} action="Disable" onClose=${close}
      onDo=${() => change(`${of(dialog.row)}/disable`, {}, `The key ${dialog.row.name} was disabled.`)}>
      <p>Nobody is let in with any key of this name any more.</p><//>`}
    ${made && html`<${Made} text=${made} onClose=${() => setMade(null)} />`}`;
}

function Row({row, caller, onForm}) {
  const button = (text, form) => html`<button class="secondary" disabled=${!caller.can_change}
    aria-label=${`${text} ${row.name}`} onClick=${() => onForm(form)}>${text}</button> `;
  return html`<tr data-key=${row.name}>
    <th scope="row">${row.name}</th><td><code>${row.id}</code></td>
    <td><span class=${`state ${row.state === "valid" ? "ok" : "warn"}`}>${row.state}</span></td>
    <td>${row.scopes.join(", ")}</td><td>${row.models.join(", ")}</td><td>${row.limits || "none"}</td>
    <td><${Ago} at=${row.created} /></td><td><${Ago} at=${row.expires} none="never" /></td>
    <td><${Ago} at=${row.last_used} none="never" /></td><td>${button("Rotate", Rotate)}${button("Disable", Confirm)}</td>
  </tr>`;
}

function Form({title, action, onDo, onClose, children}) {
  const [error, setError] = useState(null);
  const submit = (event) => {
    event.preventDefault();
    onDo(new FormData(event.target)).catch(setError);
  };
  return html`<${Dialog} title=${title} onClose=${onClose}><form onSubmit=${submit}>
    ${children}
    <${Problem} error=${error} />
    <div class="row"><button>${action}</button><button type="button" class="secondary" onClick=${onClose}>Cancel</button></div>
  </form><//>`;
}

const list = (text) => text.split(",").map((part) => part.trim()).filter(Boolean);

function New({onDo, onClose}) {
  const send = (form) => onDo({
    name: form.get("name"),
    scopes: form.getAll("scope"),
    models: list(form.get("models")),
    limits: form.get("limits"),
    expires: form.get("expires") || null,
  });
  return html`<${Form} title="New key" action="Make the key" onDo=${send} onClose=${onClose}>
    <label>Name <input name="name" required autofocus autocomplete="off" /></label>
    <fieldset><legend>Scopes</legend>${SCOPES.map((scope, index) => html`<label>
      <input type="checkbox" name="scope" value=${scope} defaultChecked=${index < 2} /> ${scope}</label>`)}</fieldset>
    <label>Models (names or patterns, with commas) <input name="models" value="*" required /></label>
    <label>Limits, such as 100/day; 30/hour (empty: none) <input name="limits" /></label>
    <label>Expires after, such as 90d (empty: never) <input name="expires" /></label>
  <//>`;
}

function Rotate({row, onDo, onClose}) {
  return html`<${Form} title=${`Rotate ${row.name}`} action="Make a second key" onClose=${onClose}
    onDo=${(form) => onDo({overlap: form.get("overlap")})}>
    <p>The new key may do what the old one may.</p>
    <label>The old key stays valid for <input name="overlap" value="24h" required autofocus /></label>
  <//>`;
}

function Made({text, onClose}) {
  const [copied, setCopied] = useState("");
  const copy = () => navigator.clipboard.writeText(text).then(() => setCopied("Copied."), () => setCopied("Copy it by hand."));
  return html`<${Dialog} title="The new key" onClose=${onClose}>
    <p>Keep it now: it is not shown again.</p>
    <label>Key <input readonly value=${text} onFocus=${(event) => event.target.select()} /></label>
    <div class="row"><button onClick=${copy}>Copy</button><button class="secondary" onClick=${onClose}>I have kept it</button></div>
    <p role="status">${copied}</p>
  <//>`;
}
