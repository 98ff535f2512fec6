// Calls of the gateway. Paths are relative to its root, so that the page works behind a prefix.

import {useEffect, useState} from "./vendor/htm-preact.js";
import {parse, stringify} from "./json.js";

const KEY = "gateway-key";
const LONGEST_PAUSE_S = 8;

/** Tells of "key" (it was set), "unauthorized" (detail: the ApiError) and "away" (detail: whether nobody answers). */
export const events = new EventTarget();
const tell = (type, detail) => events.dispatchEvent(new CustomEvent(type, {detail}));

/** A refusal as the server gave it: `status` (0: nobody answered), `message`, `details` ([{pointer, expected, got}]). */
export class ApiError extends Error {
  constructor(status, document) {
    super(document?.message || document?.error || `The gateway answered with the status ${status}.`);
    Object.assign(this, {status, details: document?.details ?? []});
  }
}

/** The key of this session, or "". */
export const key = () => sessionStorage.getItem(KEY) ?? "";

/** Keeps a key for this session; "" forgets it. */
export function setKey(text) {
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
  tell("key");
}

/** One request; `body` is a value or a text. -> {status, headers, text, json, ms}; throws ApiError. */
export async function call(path, {body, headers, ifMatch, signal} = {}) {
  const began = performance.now();
  let answer, text;
  try {
    answer = await fetch(`../${path}`, {
      method: body === undefined ? "GET" : "POST",
      body: typeof body === "string" ? body : stringify(body),
      headers: {
        ...(body !== undefined && {"Content-Type": "application/json"}),
        ...(key() && {Authorization: `Bearer ${key()}`}),
        ...(ifMatch && {"If-Match": ifMatch}),
        ...headers,
      },
      signal,
      cache: "no-store",
    });
    text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    tell("away", true);
    throw new ApiError(0, {message: `The gateway does not answer (${error.message}).`});
  }
  const isJson = /json/.test(answer.headers.get("Content-Type"));
  const result = {
    status: answer.status,
    headers: answer.headers,
    text,
    json: isJson && text ? parse(text) : null,
    ms: performance.now() - began,
  };
  tell("away", !isJson && [502, 503, 504].includes(answer.status));
  if (answer.ok || answer.status === 304) return result;
  const refusal = new ApiError(answer.status, result.json);
  if (answer.status === 401) tell("unauthorized", refusal);
  throw refusal;
}

/**
 * The JSON at `path`, asked for again every `seconds`; not while the page is hidden, and more seldom after errors. Without a
 * path: not at all. `join(old, fresh)` makes the data of both, `more(data)` what is put behind the path.
 */
export function usePoll(path, seconds, {join = (old, fresh) => fresh, more = () => ""} = {}) {
  const [state, setState] = useState({data: null, error: null});
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (!path) return undefined;
    const stop = new AbortController();
    const {signal} = stop;
    let [data, etag, failures, isBusy, timer] = [null, "", 0, false, 0];
    async function turn() {
      clearTimeout(timer);
      if (isBusy || document.hidden) return;
      isBusy = true;
      try {
        const answer = await call(path + (data ? more(data) : ""), {headers: etag && {"If-None-Match": etag}, signal});
        if (answer.status !== 304) data = join(data, answer.json);
        etag = answer.headers.get("ETag");
        if (answer.status !== 304 || failures) setState({data, error: null, etag});
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        setState({data, error, etag});
      }
      isBusy = false;
      timer = setTimeout(turn, 1000 * (failures ? Math.min(2 ** failures / 2, LONGEST_PAUSE_S) : seconds));
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
