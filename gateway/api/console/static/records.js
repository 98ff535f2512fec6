// TFRecords of PredictionLog, as `log export` and TensorFlow Serving write them.

import {InputError} from "./tensor.js";

const LONGEST = 1 << 26; // bytes of a record, elements of a tensor

// Of a dtype: TensorFlow's number, the field of TensorProto with its values, and how they lie in memory.
const DTYPES = {
  float: [1, 5, "Float32"], double: [2, 6, "Float64"], int32: [3, 7, "Int32"], uint8: [4, 7, "Uint8"],
  int16: [5, 7, "Int16"], int8: [6, 7, "Int8"], string: [7, 8], int64: [9, 10, "BigInt64"], bool: [10, 11, "Uint8"],
  bfloat16: [14, 13, "Uint16"], uint16: [17, 7, "Uint16"], half: [19, 13, "Float16"], uint32: [22, 16, "Uint32"],
  uint64: [23, 17, "BigUint64"],
};
const arrayOf = (kind) => globalThis[`${kind}Array`];
const product = (shape) => shape.reduce((size, length) => size * length, 1);

/** Throws InputError. */
export const fail = (...told) => {
  throw new InputError(...told);
};

/** A flat list as nested arrays of a shape, whose first size may be free. */
export function nested(flat, shape, name) {
  const [length = 1, ...rest] = shape;
  const found = flat.length / product(rest);
  if (length < 0 ? found % 1 : found !== length) fail(name, `the shape [${shape}]`, `${flat.length} elements`);
  const split = (all, size) => Array.from({length: all.length / size}, (_, i) => all.slice(i * size, (i + 1) * size));
  return shape.length ? rest.reduceRight(split, flat) : flat[0];
}

/** The elements in bytes of their own, which are little-endian. */
export function elements({buffer}, dtype) {
  const values = Array.from(new (arrayOf(DTYPES[dtype][2]))(buffer));
  if (dtype === "bfloat16") return Array.from(new Float32Array(Uint32Array.from(values, (bits) => bits << 16).buffer));
  return dtype === "bool" ? values.map(Boolean) : values;
}

// The masked CRC-32C.
function checksum(bytes) {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 && 0x82f63b78);
  }
  return (((~crc >>> 15) | (~crc << 17)) + 0xa282ead8) >>> 0;
}

/** The record at a place of a file: {data, next}. `read(from, size)` gives bytes. Throws InputError. */
export async function recordAt(at, read, where) {
  const checked = async (from, size) => {
    const bytes = await read(from, size + 4);
    if (bytes.length < size + 4) fail(where, `${size + 4} bytes`, `${bytes.length}: the file is cut off`);
    const data = bytes.slice(0, size);
    const [sum] = new Uint32Array(bytes.slice(size).buffer);
    if (sum !== checksum(data)) fail(where, "a TFRecord with its checksum", "another one: the file is damaged");
    return data;
  };
  const size = Number(new BigUint64Array((await checked(at, 8)).buffer)[0]);
  if (size > LONGEST) fail(where, `at most ${LONGEST} bytes`, size);
  return {data: await checked(at + 12, size), next: at + size + 16};
}

// The values of a field of a protobuf message, or all packed numbers.
function all(bytes, number) {
  const found = [];
  let at = 0;
  const varint = () => {
    let [value, shift] = [0n, 0n];
    do {
      value |= BigInt(bytes[at] & 127) << shift;
      shift += 7n;
    } while (bytes[at++] > 127);
    return value;
  };
  while (at < bytes.length) {
    const key = number ? Number(varint()) : 0;
    const size = key & 7 && ({1: 8, 5: 4}[key & 7] ?? Number(varint()));
    const value = key & 7 ? bytes.slice(at, (at += size)) : varint();
    if (!number || key >> 3 === number) found.push(value);
  }
  return found;
}

function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", {fatal: true, ignoreBOM: true}).decode(bytes);
  } catch {
    return {b64: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))};
  }
}

function tensorOf(bytes, name) {
  const number = Number(all(bytes, 1)[0]);
  const [dtype, [, field, kind]] = Object.entries(DTYPES).find(([, [one]]) => one === number)
    ?? fail(name, "a dtype of JSON", `number ${number}`);
  const shape = all(bytes, 2).flatMap((one) => all(one, 2)).map((dim) => Number(all(dim, 1)[0] ?? 0));
  const size = product(shape);
  if (!(size <= LONGEST)) fail(name, `at most ${LONGEST} elements`, size);
  const given = all(bytes, field);
  const listed = () => {
    if (/Float(32|64)/.test(kind)) return Uint8Array.from(given.flatMap((one) => [...one]));
    const numbers = BigInt64Array.from(given.flatMap((one) => (one.at ? all(one) : one)));
    return /Big/.test(kind) ? numbers : arrayOf(kind.replace("Float", "Uint")).from(numbers, Number);
  };
  const flat = kind ? elements(all(bytes, 4).find(({length}) => length) ?? listed(), dtype) : given.map(textOf);
  const last = flat.at(-1) ?? {string: "", bool: false}[dtype] ?? 0;
  while (flat.length < size) flat.push(last); // it stands for the rest
  return nested(flat, shape, name);
}

/** The request of a PredictionLog: {inputs: {name: tensor}}. Throws InputError. */
export function requestOf(bytes) {
  const [request = fail("message", "a PredictLog", "another one")] = all(bytes, 6).flatMap((log) => all(log, 1));
  const entries = all(request, 2).map((entry) => [textOf(all(entry, 1)[0]), all(entry, 2)[0]]);
  return {inputs: Object.fromEntries(entries.map(([name, tensor]) => [name, tensorOf(tensor, name)]))};
}
