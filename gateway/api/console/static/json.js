// JSON with what JavaScript's own does not keep: whole numbers beyond 2^53 (as BigInt), NaN and the infinities.

const WORDS = {true: true, false: false, null: null, NaN, Infinity, "-Infinity": -Infinity};
const TOKEN = /\s*(?:([{}[\],:])|("(?:[^"\\]|\\.)*")|(-?\d[\d.eE+-]*)|(-?\w+))/y;

/** The value of a JSON text. Throws SyntaxError that names the position. */
export function parse(text) {
  return /\d{16}|NaN|Infinity/.test(text) ? slowly(text) : JSON.parse(text);
}

function slowly(text) {
  let at = 0;
  let token = next();
  const value = read();
  if (token) fail("the end");
  return value;

  function next() {
    TOKEN.lastIndex = at;
    const found = TOKEN.exec(text);
    if (!found && text.slice(at).trim()) fail("JSON");
    at = found ? TOKEN.lastIndex : text.length;
    return found;
  }
  function fail(expected) {
    throw new SyntaxError(`expected ${expected} before position ${at}, got ${JSON.stringify(text.slice(at - 1, at + 20))}`);
  }
  function take(sign) {
    const matches = token?.[1] === sign;
    if (matches) token = next();
    return matches;
  }
  function items(end, one) {
    const all = [];
    if (take(end)) return all;
    do all.push(one()); while (take(","));
    if (!take(end)) fail(end);
    return all;
  }
  function member() {
    const name = token?.[2] ? read() : fail("a name in quotes");
    if (!take(":")) fail(":");
    return [name, read()];
  }
  function read() {
    if (take("[")) return items("]", read);
    if (take("{")) return Object.fromEntries(items("}", member));
    const [, , string, number, word] = token ?? [];
    if (!string && !number && !(word in WORDS)) fail("a value");
    const value = word ? WORDS[word] : JSON.parse(string ?? number);
    token = next();
    return number && /^-?\d+$/.test(number) && !Number.isSafeInteger(value) ? BigInt(number) : value;
  }
}

/** The JSON text of a value; BigInt, NaN and the infinities are written bare, and -0 keeps its sign. */
export function stringify(value) {
  if (typeof value === "bigint" || typeof value === "number") return Object.is(value, -0) ? "-0" : String(value);
  if (Array.isArray(value)) return `[${value.map((item) => stringify(item ?? null)).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${stringify(member)}`).join(",")}}`;
}

/** The shortest text of a number that reads back to the same number of its dtype. */
export function shown(number, dtype = "") {
  if (!/^(DT_FLOAT|float|float32)$/.test(dtype) || !Number.isFinite(number)) return stringify(number);
  let digits = 1;
  while (digits < 9 && Math.fround(number.toPrecision(digits)) !== Math.fround(number)) digits += 1;
  return stringify(Number(number.toPrecision(digits)));
}
