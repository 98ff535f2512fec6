// The shell of the page: its views, the way between them, and the key.

import {html, render, useEffect, useRef, useState} from "./vendor/htm-preact.js";
import {call, events, key, setKey} from "./api.js";
import {Form, hashOf, Problem, Waiting} from "./parts.js";
import About from "./about.js";
import Compare from "./compare.js";
import Keys from "./keys.js";
import Log from "./log.js";
import Models from "./models.js";
import Rollouts from "./rollouts.js";
import Try from "./try.js";

// By address: title, component and the scopes that it reads with.
const VIEWS = {
  models: ["Models", Models, "metadata"],
  try: ["Try", Try, "metadata"],
  compare: ["Compare", Compare, "predict", "metadata"],
  rollouts: ["Rollouts", Rollouts, "admin"],
  log: ["Log", Log, "admin"],
  keys: ["Keys", Keys, "admin"],
  about: ["About", About, ""],
};
const RETRY_MS = 2000;

function here() {
  const [view, query = ""] = location.hash.slice(2).split(/\?(.*)/s);
  return {view: view in VIEWS ? view : "models", params: Object.fromEntries(new URLSearchParams(query))};
}

const go = (view, params) => {
  location.hash = hashOf(view, params);
};

function announce(text) {
  const region = document.getElementById("announcements");
  region.textContent = "";
  setTimeout(() => region.append(text), 50); // a region that is emptied first is read again
}

/** "g" and a letter: go(view); not while something is typed. */
function useLetters() {
  useEffect(() => {
    let before = "";
    addEventListener("keydown", (event) => {
      if (event.target.closest("input, textarea, select, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
      const view = before === "g" && Object.keys(VIEWS).find((name) => name[0] === event.key);
      if (view) go(view);
      before = event.key;
    });
  }, []);
}

function App() {
  const [{view, params}, setPlace] = useState(here);
  const [caller, setCaller] = useState(null);
  const [refusal, setRefusal] = useState(null);
  const [isAsking, setAsking] = useState(false);
  const [isAway, setAway] = useState(false);
  const before = useRef(view);
  useLetters();

  useEffect(() => {
    let isAsked = false; // for a key, once: polls go on after Cancel
    const refuse = (error) => {
      setRefusal(error);
      if (error.status !== 401 || !isAsked) setAsking((isAsked = error.status === 401));
    };
    async function identify() {
      isAsked = false;
      setCaller(null);
      setRefusal(null);
      try {
        const {json} = await call("admin/console/caller");
        const can = (scope) => json.scopes.includes(scope);
        setCaller({...json, can, can_read: (scope) => !scope || json.keys === "off" || can(scope)});
        setAsking((isAsked = false));
      } catch (error) {
        refuse(error);
        if (error.status !== 401) setTimeout(identify, RETRY_MS);
      }
    }
    addEventListener("hashchange", () => setPlace(here()));
    events.addEventListener("key", identify);
    events.addEventListener("away", ({detail}) => setAway(detail));
    events.addEventListener("unauthorized", ({detail}) => refuse(detail));
    identify();
  }, []);

  const [title, component, ...scopes] = VIEWS[view];
  const scope = scopes.find((one) => caller && !caller.can_read(one)) ?? scopes[0];
  useEffect(() => {
    document.title = `${title} – console of serving-gateway`;
    const heading = document.querySelector("main h1");
    heading.tabIndex = -1;
    if (before.current !== view) heading.focus();
    before.current = view;
  }, [view]);

  const skip = (event) => {
    event.preventDefault();
    document.querySelector("main").focus();
  };
  return html`<div>
    <header>
      <a class="skip" href="#" onClick=${skip}>Skip to the content</a>
      <nav aria-label="Views"><ul>${Object.entries(VIEWS).map(([name, [text]]) => html`<li>
        <a href=${hashOf(name)} aria-current=${name === view && "page"} title=${`g ${name[0]}`}>${text}</a>
      </li>`)}</ul></nav>
      ${caller?.name && html`<p class="row"><span>Key: <strong>${caller.name}</strong></span>
        <button onClick=${() => setKey("")}>Forget the key</button></p>`}
      ${caller?.keys === "off" && html`<p class="note">Read only: ${caller.why_not}</p>`}
      <p role="status" class="note">${isAway && "The gateway does not answer. This page goes on when it is back."}</p>
    </header>
    <main id="content" tabindex="-1" data-view=${view}>
      ${caller?.can_read(scope) ? html`<${component} key=${view} ...${{caller, params, go, announce}} />`
        : html`<h1>${title}</h1><${Missing} ...${{caller, scope, refusal}} onAsk=${() => setAsking(true)} />`}
    </main>
    <div id="announcements" class="visually-hidden" aria-live="polite"></div>
    ${isAsking && html`<${Form} title="The gateway asks for an API key" action="Use this key" onClose=${() => setAsking(false)}
      onDo=${(form) => setKey(form.get("key").trim())} stays>
      <label>API key <input name="key" type="password" autocomplete="off" required autofocus /></label>
      <p>The key is kept in this tab only, until it is closed.</p>
      ${key() && html`<${Problem} error=${refusal} />`}
    <//>`}
  </div>`;
}

function Missing({caller, scope, refusal, onAsk}) {
  if (caller) {
    return html`<p>This view needs a key with the scope <code>${scope}</code>. The key <strong>${caller.name}</strong> has
      ${" "}${caller.scopes.join(", ")}.</p>`;
  }
  if (refusal?.status !== 401) return html`<${Waiting} error=${refusal} />`;
  return html`<p>The gateway shows its models to callers with a key.</p><button onClick=${onAsk}>Enter a key</button>`;
}

render(html`<${App} />`, document.getElementById("app"));
