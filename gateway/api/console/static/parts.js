// What several views show in the same way.

import {html, useEffect, useRef, useState} from "./vendor/htm-preact.js";

/** An error as the server gave it, with each of its details; nothing without one. */
export function Problem({error}) {
  if (!error) return null;
  return html`<div role="alert" class="error">
    <p>${error.message}</p>
    ${error.details?.length > 0 && html`<ul>${error.details.map((detail) => html`<li>${sentence(detail)}</li>`)}</ul>`}
  </div>`;
}

function sentence(detail) {
  if (typeof detail === "string") return detail;
  const {pointer, expected, got, message} = detail;
  const text = message ?? `expected ${expected}, got ${typeof got === "string" ? got : JSON.stringify(got)}`;
  return html`${pointer && html`<code>${pointer}</code> `}${text}`;
}

/** How long ago a time (unix seconds or ISO 8601) was, with the exact time as its title. */
export function Ago({at, none = "–"}) {
  if (at === null || at === undefined || at === "") return none;
  const time = new Date(typeof at === "number" ? at * 1000 : at);
  return html`<time datetime=${time.toISOString()} title=${time.toLocaleString()}>${ago((Date.now() - time) / 1000)}</time>`;
}

/** A length of time before or after now in words. */
export function ago(seconds) {
  const far = Math.abs(seconds);
  const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"]].find(([size]) => far >= size) ?? [1, "s"];
  const text = `${Math.floor(far / size)} ${unit}`;
  return seconds < -1 ? `in ${text}` : `${text} ago`;
}

/** A number for a table: three digits that count, or a dash. */
export const figure = (value) => (value === null || value === undefined ? "–" : String(Number(value.toPrecision(3))));

/** A table that scrolls sideways when the page is narrow. `head` are texts. */
export function Table({label, head, children}) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${label}>
    <table aria-label=${label}>
      <thead><tr>${head.map((text) => html`<th scope="col">${text}</th>`)}</tr></thead>
      <tbody>${children}</tbody>
    </table>
  </div>`;
}

/** A modal dialog, open as long as it is rendered; the Escape key calls onClose. */
export function Dialog({title, onClose, children}) {
  const box = useRef();
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    return () => before?.focus?.();
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  return html`<dialog ref=${box} onCancel=${cancel} aria-label=${title}>
    <article><h2>${title}</h2>${children}</article>
  </dialog>`;
}

/** A dialog that does `action` after the name was typed. `onDo` may return a promise; its error is shown. */
export function Confirm({title, name, action, onDo, onClose, children}) {
  const [typed, setTyped] = useState("");
  const [error, setError] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    try {
      await onDo();
      onClose();
    } catch (problem) {
      setError(problem);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form onSubmit=${submit}>
      ${children}
      <label>Type <strong>${name}</strong> to confirm
        <input value=${typed} onInput=${(event) => setTyped(event.target.value)} autocomplete="off" autofocus />
      </label>
      <${Problem} error=${error} />
      <div class="row">
        <button disabled=${typed !== name}>${action}</button>
        <button type="button" class="secondary" onClick=${onClose}>Cancel</button>
      </div>
    </form>
  <//>`;
}
