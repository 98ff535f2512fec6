// Tensors as people write them: nested arrays of texts as they were typed; a string may be {b64} too.

import {stringify} from "./json.js";

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
export const LARGEST = {float: 3.4028235677973366e38, double: Number.MAX_VALUE, half: 65519, bfloat16: 3.39e38};
const TOKEN = /\s*(?:([[\],])|(\{\s*"b64"\s*:\s*"([^"\\]*)"\s*\})|("(?:[^"\\]|\\.)*")|([^\s[\]{},":]+))/y;

/** What does not fit an input: `field` names it, down to the element. */
export class InputError extends Error {
  constructor(field, expected, got) {
    super(`${field}: expected ${expected}, got ${got}`);
    Object.assign(this, {field, expected, got});
  }
}

/** {inputs, outputs} of a signature, each [{name, dtype, shape}]; -1 is a free size, a null shape an unknown rank. */
export function tensorsOf(metadata, signature) {
  const list = (declared = {}) => Object.entries(declared).sort().map(([name, {dtype, tensor_shape: shape}]) => ({
    name,
    dtype: dtype.replace("DT_", "").toLowerCase(),
    shape: shape?.unknown_rank ? null : (shape?.dim ?? []).map(({size}) => Number(size)),
  }));
  const {inputs, outputs} = metadata.metadata.signature_def.signature_def[signature];
  return {inputs: list(inputs), outputs: list(outputs)};
}

/** Whether requests are made of rows: the first size of every tensor is free. */
export const hasRows = ({inputs, outputs}) =>
  inputs.length > 0 && [...inputs, ...outputs].every(({shape}) => shape?.[0] === -1);

/** A tensor with `rows` rows whose elements `element` makes; other free sizes are 1. */
export function filled({dtype, shape}, rows, element = () => ({string: "", bool: "false"})[dtype] ?? "0") {
  const make = ([size, ...inner]) =>
    (size === undefined ? element() : Array.from({length: size < 0 ? 1 : size}, () => make(inner)));
  return make(shape?.[0] === -1 ? [rows, ...shape.slice(1)] : shape ?? [rows]);
}

/** An element of the dtype by chance, as text. */
export function random(dtype) {
  const whole = (below) => String(Math.floor(Math.random() * below));
  if (dtype in LARGEST) return (Math.random() * 2 - 1).toFixed(3);
  return {string: `text ${whole(100)}`, bool: String(whole(2) === "1"), uint8: whole(256)}[dtype] ?? whole(10);
}

/** The tensor that a JSON text is; its numbers stay as they were written. Throws InputError. */
export function readJson(text, {name, dtype}) {
  const isText = dtype === "string";
  let at = 0;
  const fail = (expected) => {
    throw new InputError(name, `${expected} at character ${at + 1}`, JSON.stringify(text.slice(at, at + 20)));
  };
  const next = () => {
    TOKEN.lastIndex = at;
    return TOKEN.exec(text) ?? [""];
  };
  const take = (sign) => {
    const [all, found] = next();
    if (found === sign) at += all.length;
    return found === sign;
  };
  const read = () => {
    if (take("[")) {
      const items = [];
      while (!take("]")) {
        if (items.length && !take(",")) fail('"," or "]"');
        items.push(read());
      }
      return items;
    }
    const [all, , bytes, b64, quoted, bare] = next();
    if (isText ? !bytes && !quoted : !bare) fail(isText ? 'a text in quotes or {"b64": ".."}' : dtype);
    at += all.length;
    return bytes ? {b64} : bare ?? JSON.parse(quoted);
  };
  const value = read();
  return text.slice(at).trim() ? fail("the end") : value;
}

/** The tensor of a value that was read from JSON. */
export function typed(value) {
  if (Array.isArray(value)) return value.map(typed);
  return typeof value === "string" || value?.b64 !== undefined ? value : stringify(value);
}

/** The JSON text of nested arrays of JSON texts. */
export const write = (tokens) => (Array.isArray(tokens) ? `[${tokens.map(write).join(",")}]` : tokens);

/** A tensor as JSON text for people; nothing of it is checked. */
export const text = (value, dtype) => (Array.isArray(value)
  ? `[${value.map((part) => text(part, dtype)).join(Array.isArray(value[0]) ? ",\n" : ", ")}]`
  : dtype === "string" ? JSON.stringify(value) : value);

/** The JSON text of one element. */
function element(leaf, dtype, fail) {
  if (dtype === "string") return JSON.stringify(leaf);
  const given = String(leaf).trim();
  const refuse = (expected) => fail(expected, given ? `"${given.slice(0, 40)}"` : "nothing");
  if (dtype === "bool") return /^(true|false)$/i.test(given) ? given.toLowerCase() : refuse("true or false");
  const [, unsigned, bits] = /^(u?)int(\d+)$/.exec(dtype) ?? [];
  if (bits) {
    if (!/^[+-]?\d+$/.test(given)) return refuse(`a whole number (${dtype})`);
    const whole = BigInt(given.replace("+", ""));
    return whole === BigInt[unsigned ? "asUintN" : "asIntN"](bits, whole) ? String(whole) : refuse(`a number that ${dtype} holds`);
  }
  if (!(dtype in LARGEST)) return fail("a dtype that JSON has", dtype);
  if (/^(NaN|-?Infinity)$/.test(given) || (NUMBER.test(given) && Math.abs(given) <= LARGEST[dtype])) return given;
  const number = given ? Number(given) : NaN;
  return Math.abs(number) <= LARGEST[dtype] ? String(number) : refuse(`a number (${dtype})`);
}

/** The JSON text of each element of a tensor, nested alike. Throws InputError. */
export function tokens(value, {name, dtype, shape}) {
  const [sizes, path] = [[], []];
  let rank = shape?.length;
  const fail = (expected, got) => {
    throw new InputError(name + path.map((i) => `[${i}]`).join(""), expected, got);
  };
  const walk = (part) => {
    const depth = path.length;
    if (!Array.isArray(part)) {
      rank ??= depth;
      return depth === rank ? element(part, dtype, fail) : fail(`a list, as the shape is [${shape ?? "?"}]`, text(part, dtype));
    }
    if (depth === rank) fail(`one ${dtype}`, `a list of ${part.length}`);
    sizes[depth] ??= shape?.[depth] >= 0 ? shape[depth] : part.length;
    if (part.length !== sizes[depth]) fail(`${sizes[depth]} elements`, part.length);
    return part.map((item, i) => {
      path[depth] = i;
      const made = walk(item);
      path.length = depth;
      return made;
    });
  };
  return walk(value);
}

/** Rows of cells of a pasted table in the order of `columns` [{label, dtype}]. A cell of one column may have commas. */
export function table(pasted, columns) {
  const separator = (columns[1] ? ["\t", ";", ","] : []).find((sign) => pasted.includes(sign)) ?? "\t";
  const cell = new RegExp(`("(?:[^"]|"")*"|[^"${separator}\\r\\n]*)(${separator}|\\r?\\n|$)`, "y");
  const rows = [[]];
  while (cell.lastIndex < pasted.length) {
    const [, content, end] = cell.exec(pasted) ?? [];
    if (end === undefined) throw new InputError(`line ${rows.length} of the table`, "cells", "a quote that is not closed");
    rows.at(-1).push(content.startsWith('"') ? content.slice(1, -1).replaceAll('""', '"') : content);
    if (end.endsWith("\n") && cell.lastIndex < pasted.length) rows.push([]);
  }
  if (pasted.endsWith(separator)) rows.at(-1).push("");
  const titles = rows[0].map((title) => title.trim().toLowerCase());
  const order = columns.map(({label}) => titles.indexOf(label.toLowerCase()));
  if (order.some((at) => at >= 0)) return rows.slice(1).map((row) => order.map((at) => row[at]));
  const isHeader = columns.every(({dtype}) => !/string|bool/.test(dtype)) && titles.every((title) => title && isNaN(title.replace(",", ".")));
  return isHeader ? rows.slice(1) : rows;
}
