// What several views show in the same way.
//
// A component with state renders one element: of several, this Preact may put new ones before the old.

import {html, useEffect, useRef, useState} from "./vendor/htm-preact.js";

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

/** The address of a view within the page; params that are empty are left out. */
export function hashOf(view, params = {}) {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value || value === 0));
  return `#/${view}?${query}`.replace(/\?$/, "");
}

/** An error as the server gave it, with each of its details; nothing without one. */
export function Problem({error}) {
  return error && html`<div role="alert" class="error">
    <p>${error.message}</p>
    <ul>${error.details?.map(({pointer, expected, got}) => html`<li>
      <code>${pointer}</code> expected ${expected}, got ${typeof got === "string" ? got : JSON.stringify(got)}
    </li>`)}</ul>
  </div>`;
}

/** What a poll has not got yet: its error or "Loading…". */
export const Waiting = ({data, error}) => (error ? html`<${Problem} error=${error} />`
  : !data && html`<p aria-busy="true">Loading…</p>`);

/** How long ago a time (unix seconds or ISO 8601) was, with the exact time as its title. */
export function Ago({at, none = "–"}) {
  if (!at) return none;
  const time = new Date(typeof at === "number" ? at * 1000 : at);
  const seconds = (Date.now() - time) / 1000;
  const far = Math.abs(seconds);
  const [size, unit] = UNITS.find(([least]) => far >= least) ?? [1, "s"];
  const text = `${Math.floor(far / size)} ${unit}`;
  return html`<time datetime=${time.toISOString()} title=${time.toLocaleString()}>${seconds < 0 ? `in ${text}` : `${text} ago`}</time>`;
}

/** A number with three digits that count, or a dash. */
export const figure = (value) => (typeof value === "number" ? String(Number(value.toPrecision(3))) : "–");

/** A choice; `options` are values or [value, title]. A value that is none of them is offered too. */
export function Select({label, value = "", options, onChoose}) {
  const all = options.map((option) => [option].flat());
  if (!all.some(([one]) => one === value)) all.unshift([value]);
  return html`<label>${label} <select value=${value} onChange=${({target}) => onChoose(target.value)}>
    ${all.map(([one, title = one]) => html`<option value=${one} selected=${one === value}>${title}</option>`)}</select></label>`;
}

/** A part of 1 as a bar. */
export const Bar = ({part}) => html`<span class="bar"><span style=${{width: `${100 * part}%`}} /></span>`;

/** A table that scrolls sideways when the page is narrow. `head`: texts, or [text, class]. */
export const Table = ({label, head, children}) => html`
  <div class="scroll" tabindex="0" role="region" aria-label=${label}><table aria-label=${label}>
    <thead><tr>${head.map((one) => [one].flat()).map(([text, kind]) => html`<th scope="col" class=${kind}>${text}</th>`)}</tr></thead><tbody>${children}</tbody>
  </table></div>`;

/** A modal dialog that is open as long as it is rendered. The Escape key calls onClose. */
export function Dialog({title, onClose, children}) {
  const box = useRef();
  useEffect(() => {
    const dialog = box.current;
    dialog.showModal();
    return () => {
      dialog.close(); // which gives the focus back to where it was, if that is still there
      const holder = document.activeElement;
      if (holder === document.body || dialog.contains(holder)) document.querySelector("main").focus();
    };
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  return html`<dialog ref=${box} onCancel=${cancel} aria-label=${title}><h2>${title}</h2>${children}</dialog>`;
}

/** A dialog with a form. After onDo(FormData), which may be async, it closes unless there was an error or it `stays`. */
export function Form({title, action, isReady = true, stays, onDo, onClose, children}) {
  const [error, setError] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    try {
      await onDo(new FormData(event.target));
      if (!stays) onClose();
    } catch (problem) {
      setError(problem);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}><form onSubmit=${submit}>
    ${children}
    <${Problem} error=${error} />
    <div class="row">
      <button disabled=${!isReady}>${action}</button><button type="button" onClick=${onClose}>Cancel</button>
    </div>
  </form><//>`;
}

/** A form that does its action only after `name` was typed. */
export function Confirm({name, children, ...form}) {
  const [typed, setTyped] = useState("");
  return html`<${Form} ...${form} isReady=${typed === name}>
    ${children}
    <label>Type <strong>${name}</strong> to confirm
      <input value=${typed} onInput=${(event) => setTyped(event.target.value)} autocomplete="off" autofocus /></label>
  <//>`;
}
