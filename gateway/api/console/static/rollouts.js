// Rollouts: where they stand, why, and orders.

import {html, useEffect, useRef, useState} from "./vendor/htm-preact.js";
import {call, usePoll} from "./api.js";
import {Chart, useRing} from "./charts.js";
import {Bar, Confirm, Problem, Table, Waiting, hashOf} from "./parts.js";

const ORDERS = ["Step", "Pause", "Resume", "Promote", "Abort", "Undo", "Clean"];
const FIELDS = [
  ["canary", "New version", ""],
  ["steps", "Steps", "1%:10m,10%:10m,50%:10m", "Weight:time, …; 10%:manual waits for a person"],
  ["shadow", "Shadow", "0%", "The part of requests that both versions answer"],
  ["sticky", "Sticky by", "", "header:NAME, key or address; empty: by chance"],
  ["keep_old", "Keep the old version", "10m", "So long a promotion can be undone"],
];

const link = (view, text, params) => html`<a href=${hashOf(view, params)}>${text}</a>`;
const At = ({time}) => html`<time datetime=${time}>${new Date(time).toLocaleString([], {hourCycle: "h23"})}</time>`;
// What else a gateway notes must refuse no order.
const stood = ({state, hold, step, weight}) => `${[state, hold, step, weight]}`;
const ONCE = "counted once in 10 s";
const percent = (part) => `${+(part * 100).toFixed(2)}%`;

/** `params.model` chooses a rollout. */
export default function Rollouts({caller, params: {model}, go, announce}) {
  const polled = usePoll("admin/rollouts", 2);
  const choose = (event) => {
    event.preventDefault();
    go("rollouts", {model: event.target.model.value});
  };
  return html`<div><h1>Rollouts</h1>
    <${Waiting} ...${polled} />
    ${polled.data && html`
      <${Table} label="Newest rollouts" head=${["Model", "New", "Old", "State", ["Weight", "number"]]}>
        ${polled.data.rollouts.map(({model, canary, stable, state, canary_weight}) => html`<tr data-model=${model}>
          <th scope="row">${link("rollouts", model, {model})}</th>
          <td>${canary}<//><td>${stable}<//><td>${state.replace("_", " ")}<//><td class="number">${percent(canary_weight)}<//></tr>`)}
      <//>
      ${!polled.data.rollouts[0] && html`<p>There was no rollout yet.</p>`}
      <form class="row" onSubmit=${choose}>
        <label>Model <input name="model" required key=${model} defaultValue=${model} /></label><button>Show</button>
      </form>
      ${model && html`<${One} key=${model} ...${{caller, model, announce}} />`}`}</div>`;
}

function One({caller, model, announce}) {
  const path = `admin/rollouts/${encodeURIComponent(model)}`;
  const {data: plan, error, etag, reload} = usePoll(path, 1);
  const events = usePoll(`${path}/history`, 2).data?.events ?? [];
  const [told, setTold] = useState(null);
  const [asked, ask] = useState(null);
  const [note, before, isFree] = [useRef(), useRef(), useRef()];
  const stands = plan && plan.id + plan.revision;
  useEffect(() => {
    if (before.current && before.current !== stands) announce(`${model}: ${plan.explained}`);
    before.current = stands;
  }, [stands]);

  // `seen`: the tag of what was shown when the person decided.
  const send = async (order, seen, body) => {
    setTold(null);
    try {
      await call(path + order, {body, ifMatch: seen});
      if (note.current) note.current.value = "";
      return true;
    } catch (problem) {
      return setTold(problem);
    } finally {
      reload();
    }
  };
  const give = (order, seen, more) => send(`/${order}`, seen, {note: note.current.value, ...more});
  const can = (order) => caller.can_change && plan.orders.includes(order);
  const press = (order) => (["abort", "undo"].includes(order) ? ask({order, seen: etag, stood: stood(plan)}) : give(order, etag));
  if (plan || error?.status === 404) isFree.current = !plan || plan.is_ended; // else one poll has failed
  return html`<section aria-label=${model}><h2>${model}</h2>
    <${Problem} error=${told ?? (error?.status === 404 ? null : error)} />
    ${plan && html`
      ${plan.summary && html`<p><strong>${plan.summary}</strong></p>`}
      <p role="status" aria-live="off">${plan.explained}</p>
      <p>${link("log", "Log", {model})} · ${link("compare", "Compare both", {model, a: plan.stable, b: plan.canary})}</p>
      <${Steps} plan=${plan} />
      <${Weight} plan=${plan} etag=${etag} disabled=${!can("weight")} give=${give} />
      <div class="row"><label>Note for the history <input ref=${note} maxlength="1000" disabled=${!caller.can_change} /></label>
        ${ORDERS.map((text) => html`<button disabled=${!can(text.toLowerCase())}
        onClick=${() => press(text.toLowerCase())}>${text}</button>`)}</div>
      ${asked && html`<${Confirm} title=${`Order: ${asked.order}`} name=${model} action="Give the order"
        onDo=${() => give(asked.order, asked.stood === stood(plan) ? etag : asked.seen)} onClose=${() => ask(null)}>
        <p>Every request goes to version ${plan.stable}.</p><//>`}
      <${Evidence} plan=${plan} events=${events} />
      <${Samples} ...${plan} />`}
    ${events[0] && html`<h2>History</h2><ul>${events.slice(0, 50).map((event) => html`
      <li><${At} time=${event.time} />: ${event.told}</li>`)}</ul>`}
    ${isFree.current && html`<${Start} disabled=${!caller.can_change} told=${told}
      send=${(body) => send("", plan && etag, body)} />`}</section>`;
}

function Steps({plan}) {
  return html`<ol class="legend" aria-label="Steps">${plan.steps.map(({weight, bake_s, is_manual}, index) => {
    const isNow = index === plan.step;
    return html`<li aria-current=${isNow ? "step" : null}>
      <${Bar} part=${weight} />
      ${isNow && html` <strong>${plan.is_ended ? "ended here" : "now"}</strong>`} ${percent(weight)} ${is_manual ? "until Step" : `for ${bake_s} s`}</li>`;
  })}</ol>`;
}

function Weight({plan, etag, disabled, give}) {
  const [chosen, choose] = useState({});
  const {value = +(plan.weight * 100).toFixed(2), seen = etag} = chosen;
  const input = (type, label) => html`<label>${label} <input type=${type} min="0.01" max="99.99" step="0.01" required
    value=${value} disabled=${disabled} onInput=${({target}) => choose({value: target.value, seen})} /></label>`;
  const submit = async (event) => {
    event.preventDefault();
    const isDone = await give("weight", seen, {weight: Math.round(value * 100) / 10000});
    choose(isDone ? {} : {value}); // the refusal is told beside what stands now
  };
  return html`<form class="row" onSubmit=${submit}>${input("range", "Weight")}${input("number", "Weight in %")}
    <button disabled=${disabled}>Set the weight</button></form>`;
}

function Evidence({plan, events}) {
  const trail = useRing(plan.model).data?.rollout;
  if (trail?.plan !== plan.id) return null;
  // Decisions: what a person has ordered, and what the evidence has led to.
  const decided = ({plan: id, by, evidence}) => id === plan.id && (by !== "gateway" || "log_e" in evidence);
  const marks = events.filter(decided).map(({time, what}) => ({t: new Date(time) / 1000, text: what}));
  const bounds = [{value: plan.rollback_at_log_e, text: "taken back"}];
  const chart = (title, unit, columns, more) => html`<${Chart} title=${title} unit=${unit} t=${trail.t} marks=${marks}
    series=${Object.entries(columns).map(([label, values]) => ({label, values}))} ...${more} />`;
  return html`<div class="charts">${chart("Evidence against the new version", "ln E", trail.log_e, {bounds})}
    ${chart("Callers answered", ONCE, trail.exposed)}
    ${chart("Callers with failed, slow or other answers", ONCE, trail.bad)}
    ${chart("p95 by version", "ms", trail.p95_ms)}</div>`;
}

function Samples({model, canary, stable, samples}) {
  if (!samples?.length) return null;
  const head = ["Time", "Request", "What differs", `Version ${stable}`, `Version ${canary}`];
  return html`<h2>What the new version failed or answered otherwise</h2><${Table} label="Samples" head=${head}>
    ${samples.map(({time, request_id: request, signature, output, how, stable, canary, error, message}) => html`<tr>
      <td><${At} time=${time} /></td><td>${link("log", request, {request})} ${link("try", "Try", {model, signature, request})}</td>
      <td>${error ? "failed" : `${output} ${how}`}</td><td>${stable}</td><td>${canary} ${error} ${message}</td></tr>`)}<//>`;
}

function Start({disabled, told, send}) {
  const submit = (event) => {
    event.preventDefault();
    const given = [...new FormData(event.target)].filter(([, text]) => text);
    const body = Object.fromEntries(given.map(([name, text]) => [name, text === "on" || text]));
    send({...body, canary: BigInt(body.canary)});
  };
  return html`<h2>Begin a rollout</h2><form onSubmit=${submit}><fieldset class="fields" disabled=${disabled}>
    ${FIELDS.map(([name, label, value, meaning]) => {
      const wrong = told?.details.find(({pointer}) => pointer === `/${name}`);
      return html`<label>${label} <input name=${name} defaultValue=${value}
        ...${meaning ? {} : {required: true, pattern: "\\d+"}} aria-invalid=${wrong ? "true" : null}
        aria-describedby=${`${name}-note`} />
        <small id=${`${name}-note`} class=${wrong && "bad"}>
          ${wrong ? `expected ${wrong.expected}, got ${wrong.got}` : meaning}</small></label>`;
    })}
    <label>If it is worse <select name="on_bad"><option value="rollback">take it back</option>
      <option value="freeze">freeze it</option></select></label>
    <label><input type="checkbox" name="low_traffic" /> Decide on a tenth of the evidence</label>
    <label><input type="checkbox" name="again" /> Although it was taken back</label>
    <button>Begin</button></fieldset></form>`;
}
