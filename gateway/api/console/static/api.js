// Calls of the gateway. Addresses are relative to its root, so that it works behind a prefix.

import {useEffect, useState} from "./vendor/htm-preact.js";
import {parse, stringify} from "./json.js";

const KEY = "gateway-key";
const LONGEST_PAUSE = 8;

/** Tells of "key" (a key was set), "unauthorized" (detail: the ApiError) and "away" (detail: whether nobody answers). */
export const events = new EventTarget();

const tell = (type, detail) => events.dispatchEvent(new CustomEvent(type, {detail}));

/** A refusal: `status` (0: nobody answered), `message` and `details` ([{pointer, expected, got}]) as the server gave them. */
export class ApiError extends Error {
  constructor(status, document, headers, ms) {
    super(document?.message || document?.error || `The gateway answered with the status ${status}.`);
    Object.assign(this, {name: "ApiError", status, code: document?.error, details: document?.details ?? [], headers, ms});
  }
}

/** The key of this session, or "". */
export const key = () => sessionStorage.getItem(KEY) ?? "";

/** Keeps a key for this session; "" forgets it. */
export function setKey(text) {
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
  tell("key", text);
}

/** One request; `body` is a value, a text or bytes. -> {status, headers, text, json, ms}; throws ApiError. */
export async function call(path, {method, body, headers = {}, ifMatch, signal} = {}) {
  const raw = typeof body === "string" || body instanceof Uint8Array || body === undefined;
  const sent = {
    ...(body !== undefined && {"Content-Type": "application/json"}),
    ...(key() && {Authorization: `Bearer ${key()}`}),
    ...(ifMatch && {"If-Match": ifMatch}),
    ...headers,
  };
  const began = performance.now();
  let answer, text;
  try {
    answer = await fetch(`../${path.replace(/^(\.\.)?\//, "")}`, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      body: raw ? body : stringify(body),
      headers: sent,
      signal,
      cache: "no-store",
    });
    text = await answer.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    tell("away", true);
    throw new ApiError(0, {message: `The gateway does not answer (${error.message}).`});
  }
  const ms = performance.now() - began;
  const isJson = /json/.test(answer.headers.get("Content-Type"));
  const json = isJson && text ? parse(text) : null;
  tell("away", !isJson && [502, 503, 504].includes(answer.status));
  if (answer.ok || answer.status === 304) return {status: answer.status, headers: answer.headers, text, json, ms};
  const refusal = new ApiError(answer.status, json, answer.headers, ms);
  if (answer.status === 401) tell("unauthorized", refusal);
  throw refusal;
}

/**
 * The JSON at `path`, asked for again every `seconds`; not while the page is hidden, and more seldom after errors. null: not
 * at all. `join(old, fresh)` makes the data of both, `more(data)` what is put behind the path. -> {data, error, etag, reload}
 */
export function usePoll(path, seconds, {join = (old, fresh) => fresh, more = () => ""} = {}) {
  const [state, setState] = useState({data: null, error: null});
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (!path) return undefined;
    const stop = new AbortController();
    let [data, etag, failures, busy, timer] = [null, null, 0, false, 0];
    async function turn() {
      clearTimeout(timer);
      if (busy || document.hidden) return;
      busy = true;
      try {
        const headers = etag ? {"If-None-Match": etag} : {};
        const answer = await call(path + (data ? more(data) : ""), {headers, signal: stop.signal});
        if (answer.status !== 304) data = join(data, answer.json);
        etag = answer.headers.get("ETag");
        if (answer.status !== 304 || failures) setState({data, error: null, etag});
        failures = 0;
      } catch (error) {
        if (stop.signal.aborted) return;
        failures += 1;
        setState({data, error, etag});
      }
      busy = false;
      timer = setTimeout(turn, 1000 * (failures ? Math.min(2 ** failures / 2, LONGEST_PAUSE) : seconds));
    }
    document.addEventListener("visibilitychange", turn);
    turn();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", turn);
    };
  }, [path, round]);
  return {...state, reload: () => setRound(round + 1)};
}
