// What inputs are typed into: a table for small ones, pictures, files, JSON for all others.

import {html, useState} from "./vendor/htm-preact.js";
import {brief} from "./answer.js";
import {ImageField, imageShape} from "./image.js";
import {Problem, Select} from "./parts.js";
import {filled, readJson, table, text} from "./tensor.js";

const [MOST_COLUMNS, MOST_CELLS, MOST_TEXT] = [32, 600, 200000];
const FILE_NAME = /bytes|b64|image|png|jpe?g|audio|file/i;
const rowShape = ({shape}, isRows) => (isRows ? shape.slice(1) : shape);

/** The most rows that a form has. */
export const MOST_ROWS = 10000;

/** The kinds of field that an input may have, the best one first. */
export function kindsOf(input, isRows) {
  const shape = rowShape(input, isRows);
  const isString = input.dtype === "string";
  const picture = shape && !isString && input.dtype !== "bool" && imageShape(shape);
  const isSmall = shape?.length < 2 && !(shape[0] < 0 || shape[0] > MOST_COLUMNS);
  const isFile = isString && shape?.length === 0;
  const kinds = [picture && picture.kind !== "flat" && "picture", isSmall && "table", isFile && "base64", "JSON", picture && "picture"];
  if (isFile && FILE_NAME.test(input.name)) kinds.unshift("base64");
  return [...new Set(kinds.filter(Boolean))];
}

/** A copy of a tensor with another part at a path; rows that are missing before it are blank. */
function replaced(value, [at, ...inner], part, input) {
  if (at === undefined) return part;
  const copy = [...value];
  while (input && copy.length <= at) copy.push(filled(input, 1)[0]);
  copy[at] = replaced(copy[at], inner, part);
  return copy;
}

/** Inputs of few elements: a line for each row, into which cells can be pasted. */
export function Grid({inputs, isRows, count, values, setValues, problem, setProblem}) {
  const columns = inputs.flatMap((input) => {
    const [size] = rowShape(input, isRows);
    const part = (label, path) => ({...input, label, at: (row) => (isRows ? [row, ...path] : path)});
    return size === undefined ? [part(input.name, [])] : Array.from({length: size}, (_, i) => part(`${input.name}[${i}]`, [i]));
  });
  const put = (edits) => setValues((before) => {
    const after = {...before};
    for (const [column, row, part] of edits) after[column.name] = replaced(after[column.name], column.at(row), part, isRows && column);
    return after;
  });
  const paste = (event, row, first) => {
    const pasted = event.clipboardData.getData("text/plain").replace(/\r?\n$/, "");
    if (!(columns[first].dtype === "string" ? /[\t\n]/ : /[\t\n;,]/).test(pasted)) return;
    event.preventDefault();
    try {
      const lines = table(pasted, columns.slice(first)).slice(0, isRows ? MOST_ROWS - row : 1);
      put(lines.flatMap((line, i) => line.map((cell, j) => [columns[first + j], row + i, cell]).filter(([column, , cell]) => column && cell !== undefined)));
    } catch (error) {
      setProblem(error);
    }
  };
  const shown = Math.min(count, Math.ceil(MOST_CELLS / columns.length));
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Inputs"><table aria-label="Inputs">
      <thead><tr><th scope="col">Row</th>${columns.map(({label, dtype}) => html`<th scope="col">${label} <small>${dtype}</small></th>`)}</tr></thead>
      <tbody>${Array.from({length: shown}, (_, row) => html`<tr><th scope="row">${row}</th>
        ${columns.map((column, i) => html`<td><input aria-label=${`${column.label}, row ${row}`}
          value=${column.at(row).reduce((part, at) => part?.[at], values[column.name]) ?? ""}
          aria-invalid=${problem?.field === column.name + column.at(row).map((at) => `[${at}]`).join("") ? "true" : null}
          onInput=${({target}) => put([[column, row, target.value]])} onPaste=${(event) => paste(event, row, i)} /></td>`)}</tr>`)}</tbody>
    </table></div>
    ${shown < count && html`<p>These are the first ${shown} of ${count} rows; all are sent.</p>`}
    <${Problem} error=${problem} />`;
}

/** An input that is not in the table. `filling` changes when an example has come. */
export function Field({input, isRows, row, filling, kind, setKind, value, range, onValue, problem, setProblem}) {
  const {name, dtype, shape} = input;
  const label = `${name} (${dtype}${shape ? `[${shape}]` : ""})`;
  const kinds = kindsOf(input, isRows);
  const current = isRows ? value[row] : value;
  const put = (part) => onValue(isRows ? replaced(value, [row], part) : part);
  const choose = async ({target}) => {
    const bytes = new Uint8Array(await target.files[0].arrayBuffer());
    put({b64: btoa(bytes.reduce((all, byte) => all + String.fromCharCode(byte), ""))});
  };
  const fields = {
    picture: () => html`<${ImageField} key=${`${row} ${filling}`} label=${name} row=${current} shape=${imageShape(rowShape(input, isRows))}
      dtype=${dtype} range=${range} onRow=${put} />`,
    base64: () => html`<div class="row"><label>${label} as base64
      <input value=${current?.b64 ?? ""} onInput=${({target}) => put({b64: target.value})} /></label>
      <label>File of ${name} <input type="file" onChange=${choose} /></label></div>`,
    JSON: () => html`<${JsonField} key=${filling} ...${{input, label, value, onValue, problem, setProblem}} />`,
  };
  return html`<div data-input=${name}>
    ${kinds.length > 1 && html`<div class="row"><${Select} label=${`${name} as`} value=${kind} options=${kinds} onChoose=${setKind} /></div>`}
    ${fields[kind]()}<${Problem} error=${problem} /></div>`;
}

function JsonField({input, label, value, onValue, problem, setProblem}) {
  const [written, setWritten] = useState(() => text(value, input.dtype));
  const [isCut, setCut] = useState(written.length > MOST_TEXT);
  const change = ({target}) => {
    setWritten(target.value);
    try {
      target.setCustomValidity("");
      onValue(readJson(target.value, input));
      setProblem(null);
    } catch (error) {
      target.setCustomValidity(error.message); // nothing is sent in its place
      setProblem(error);
    }
  };
  return isCut ? html`<p>${label}: ${brief(value, input.dtype)} <button type="button" onClick=${() => setCut(false)}>Show all</button></p>`
    : html`<label>${label} as JSON <textarea rows="6" spellcheck="false" aria-invalid=${problem ? "true" : null} value=${written}
      onInput=${change}></textarea></label>`;
}
