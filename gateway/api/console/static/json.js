// JSON with what JavaScript's own loses: whole numbers beyond 2^53 (as BigInt), NaN and the infinities.

const TOKENS = /"(?:[^"\\]|\\.)*"|-?(?:NaN|Infinity)|-?\d[\d.eE+-]*/g;

const isLarge = (token) => /^-?[1-9]\d{15,}$/.test(token) && !Number.isSafeInteger(Number(token));
const isUnusual = (token) => /^-?[NI]/.test(token) || isLarge(token);

/** The value of a JSON text. Throws SyntaxError. */
export function parse(text) {
  if (!/\d{16}|NaN|Infinity/.test(text)) return JSON.parse(text);
  const replaced = (other) => text.replace(TOKENS, (token) => (isUnusual(token) ? other(token) : token));
  JSON.parse(replaced((token) => "0".padEnd(token.length))); // its errors have the positions of the text
  const mark = `${Math.random()} `;
  return JSON.parse(replaced((token) => `"${mark}${token}"`), (_, value) => {
    if (typeof value !== "string" || !value.startsWith(mark)) return value;
    const token = value.slice(mark.length);
    return isLarge(token) ? BigInt(token) : Number(token);
  });
}

/** The JSON text of a value; BigInt, NaN and the infinities are written bare, and -0 keeps its sign. */
export function stringify(value) {
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) return value.toExponential(); // read back, it is no BigInt
  if (typeof value === "bigint" || typeof value === "number") return Object.is(value, -0) ? "-0" : String(value);
  if (Array.isArray(value)) return `[${value.map((item) => stringify(item ?? null)).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${stringify(member)}`).join(",")}}`;
}

/** The shortest text of a number that reads back to the same number of its dtype. */
export function shown(number, dtype = "") {
  if (!/^(DT_FLOAT|float|float32)$/.test(dtype) || !number || !Number.isFinite(number)) return stringify(number);
  let digits = 1;
  while (digits < 9 && Math.fround(number.toPrecision(digits)) !== Math.fround(number)) digits += 1;
  return stringify(Number(number.toPrecision(digits)));
}
