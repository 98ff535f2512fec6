// Rows for a signature ({inputs, outputs} as tensor.js has them) from JSON lines, CSV and PredictionLogs.

import {parse, stringify} from "./json.js";
import {elements, fail, nested, recordAt, requestOf} from "./records.js";
import {hasRows, tokens, typed} from "./tensor.js";

const MOST = 10000; // rows
const TOLD = 10; // reasons
const SLICE = 1 << 16; // bytes, so that the page stays alive
const LONGEST = 1 << 26; // characters of a line

const short = (value) => stringify(value ?? null).slice(0, 99);

// The value of an input among columns: x, in.x or input.x, its elements x.0 or x[0], or the bytes of an export.
function column(record, {name, dtype, shape}) {
  for (const key of [name, `in.${name}`, `input.${name}`]) {
    const flat = [];
    const cell = () => record[`${key}.${flat.length}`] ?? record[`${key}[${flat.length}]`];
    while (cell() !== undefined) flat.push(cell());
    if (flat.length) return shape ? nested(flat, shape, name) : flat;
    const bytes = record[`${key}.bytes`];
    const content = () => elements(Uint8Array.from(atob(bytes), (one) => one.charCodeAt()), dtype);
    const value = bytes ? nested(content(), parse(record[`${key}.shape`]), name) : record[key];
    if (value !== undefined) return value;
  }
  return undefined;
}

/** The rows in a JSON value (a body, a line of an export, an example) as [{input: tokens}]. Throws InputError. */
export function rowsOf(record, signature) {
  const {inputs} = signature;
  const [{name: only}] = inputs;
  const isSplit = hasRows(signature);
  const named = (value) => (inputs.length > 1 || value?.[only] !== undefined ? value : {[only]: value});
  const row = (find) => Object.fromEntries(inputs.map((input, i) => {
    const spec = isSplit ? {...input, shape: input.shape.slice(1)} : input;
    return [spec.name, tokens(typed(find(spec, i) ?? fail(spec.name, "a value", short(record))), spec)];
  }));
  const {instances, inputs: body} = record ?? {};
  const example = record?.constructor === Object ? record : named(record);
  if (!instances && !body) return [row((spec) => column(example, spec))];
  const whole = body && named(typeof body === "string" ? parse(body) : body);
  const tensor = ({name}) => (whole ? whole[name] : instances.map((one) => named(one)?.[name]));
  if (!isSplit) return [row(tensor)];
  const tensors = inputs.map(tensor);
  const length = tensors[0]?.length || 0;
  const odd = tensors.findIndex((one) => !length || one?.length !== length);
  if (odd >= 0) fail(inputs[odd].name, `a list of ${length || "some"} rows`, short(tensors[odd]));
  return Array.from({length}, (_, i) => row((spec, input) => tensors[input][i]));
}

// A cell without quotes that is empty has no value.
const cellsOf = (line) => [...`${line},`.matchAll(/(?:"((?:[^"]|"")*)"|([^,]*)),/g)]
  .map(([, quoted, bare]) => quoted?.replaceAll('""', '"') ?? (bare || undefined));

/** Reads a file: {rows: [{where, values}], left: {count, told}, isCut}. Throws what ends the reading, or AbortError. */
export async function readRows(file, signature, onProgress, signal) {
  const rows = [];
  const left = {count: 0, told: []};
  const decoder = new TextDecoder("utf-8", {fatal: true});
  let [at, number, first, rest, line, isOpen, header] = [0, 0, 0, "", "", false, null];

  const read = async (from, size) => {
    signal.throwIfAborted();
    onProgress(from / file.size);
    return new Uint8Array(await file.slice(from, from + size).arrayBuffer());
  };
  const add = (where, make) => {
    if (rows.length > MOST) return;
    try {
      const found = rowsOf(make(), signature);
      found.forEach((values, i) => rows.push({where: found.length > 1 ? `${where}, row ${i}` : where, values}));
    } catch (error) {
      left.count += 1;
      if (left.count <= TOLD) left.told.push(`${where}: ${error.message}`);
    }
  };
  const rowOf = (cells) => {
    if (cells.length !== header.length) fail("the line", `${header.length} cells`, cells.length);
    return Object.fromEntries(header.map((name, i) => [name, cells[i]]));
  };
  const decoded = (bytes, stream) => {
    try {
      return decoder.decode(bytes, {stream});
    } catch {
      return fail(`after line ${number}`, "UTF-8", "other bytes");
    }
  };
  const readRecord = async () => {
    number += 1;
    const {data, next} = await recordAt(at, read, `record ${number}`);
    add(`record ${number}`, () => requestOf(data));
    at = next;
  };
  const readLines = async (isCsv) => {
    const bytes = await read(at, SLICE);
    at += SLICE;
    const isLast = at >= file.size;
    const parts = (rest + decoded(bytes, !isLast)).split(/\r?\n/);
    rest = isLast ? "" : parts.pop();
    if (rest.length + line.length > LONGEST) fail(`line ${number + 1}`, `at most ${LONGEST} characters`, "more");
    for (const part of parts) {
      number += 1;
      if (!isOpen) [line, first] = ["", number];
      line += isOpen ? `\n${part}` : part;
      if (isCsv && part.split('"').length % 2 === 0) isOpen = !isOpen;
      const whole = line;
      if (isOpen || !whole.trim()) continue;
      if (isCsv && !header) header = cellsOf(whole);
      else add(`line ${first}`, () => (isCsv ? rowOf(cellsOf(whole)) : parse(whole)));
    }
    if (isLast && isOpen) add(`line ${first}`, () => fail("a cell", "a closing quote", "the end of the file"));
  };

  const head = await read(0, 12);
  if (head[0] === 31 && head[1] === 139) fail(file.name, "a file that is unpacked", "gzip");
  const isCsv = !/\.(nd)?jsonl?$/i.test(file.name) && !/^\s*[[{]/.test(String.fromCharCode(...head));
  while (at < file.size && rows.length <= MOST) await (head.includes(0) ? readRecord() : readLines(isCsv));
  return {rows: rows.slice(0, MOST), left, isCut: at < file.size || rows.length > MOST};
}

/** Reads a text as `readRows` does a file: one JSON value, or one on each line. */
export async function readText(text, signature, onProgress, signal) {
  let value;
  try {
    value = parse(text);
  } catch {
    return readRows(new File([text], "text.jsonl"), signature, onProgress, signal);
  }
  return {rows: rowsOf(value, signature).map((values, i) => ({where: `row ${i}`, values})), left: {count: 0, told: []}};
}
