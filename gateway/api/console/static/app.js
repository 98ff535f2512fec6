// The shell of the page: its views, the way between them, and the key.

import {html, render, useEffect, useRef, useState} from "./vendor/htm-preact.js";
import {call, events, key, setKey} from "./api.js";
import {Dialog, Problem} from "./parts.js";
import About from "./about.js";
import Compare from "./compare.js";
import Keys from "./keys.js";
import Log from "./log.js";
import Models from "./models.js";
import Rollouts from "./rollouts.js";
import Try from "./try.js";

// The first letter of a view's name is its key after "g". A view without a scope shows what it may.
const VIEWS = {
  models: {title: "Models", component: Models, scope: "metadata"},
  try: {title: "Try", component: Try, scope: "metadata"},
  compare: {title: "Compare", component: Compare, scope: "predict"},
  rollouts: {title: "Rollouts", component: Rollouts, scope: "admin"},
  log: {title: "Log", component: Log, scope: "admin"},
  keys: {title: "Keys", component: Keys, scope: "admin"},
  about: {title: "About", component: About},
};

function here() {
  const [view, query] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return {view: view in VIEWS ? view : "models", params: Object.fromEntries(new URLSearchParams(query ?? ""))};
}

/** The address of a view within the page. */
function hashOf(view, params = {}) {
  const given = Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return `#/${view}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

const go = (view, params) => {
  location.hash = hashOf(view, params);
};

function announce(text) {
  const region = document.getElementById("announcements");
  region.textContent = "";
  setTimeout(() => {
    region.textContent = text;
  }, 50);
}

function App() {
  const [place, setPlace] = useState(here);
  const [caller, setCaller] = useState(null);
  const [refusal, setRefusal] = useState(null);
  const [asked, setAsked] = useState(false);
  const [away, setAway] = useState(false);
  const shownView = useRef(place.view);

  const identify = async () => {
    try {
      const {json} = await call("admin/console/caller");
      const can = (scope) => json.scopes.includes(scope);
      setCaller({...json, can, can_read: (scope) => json.keys === "off" || can(scope), key: key()});
      setRefusal(null);
      setAsked(false);
    } catch (error) {
      setCaller(null);
      setRefusal(error);
      setAsked(error.status === 401);
      if (error.status !== 401) setTimeout(identify, 2000);
    }
  };

  useEffect(() => {
    identify();
    const moved = () => setPlace(here());
    let before = "";
    const pressed = (event) => {
      const isTyping = event.target.closest("input, textarea, select, dialog, [contenteditable]");
      if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      const chosen = Object.keys(VIEWS).find((view) => view[0] === event.key);
      if (before === "g" && chosen) go(chosen);
      before = event.key;
    };
    addEventListener("hashchange", moved);
    addEventListener("keydown", pressed);
    events.addEventListener("key", identify);
    events.addEventListener("away", (event) => setAway(event.detail));
    events.addEventListener("unauthorized", (event) => {
      setRefusal(event.detail);
      setAsked(true);
    });
  }, []);

  const {title, component, scope} = VIEWS[place.view];
  useEffect(() => {
    document.title = `${title} – console of serving-gateway`;
    if (shownView.current === place.view) return;
    shownView.current = place.view;
    const heading = document.querySelector("main h1");
    heading.tabIndex = -1;
    heading.focus();
  }, [place.view]);

  const allowed = caller && (!scope || caller.can_read(scope));
  return html`
    <a class="skip" href="#content" onClick=${skip}>Skip to the content</a>
    <header>
      <nav aria-label="Views">
        <ul>${Object.entries(VIEWS).map(([view, {title}]) => html`<li>
          <a href=${hashOf(view)} aria-current=${view === place.view ? "page" : null} title=${`g ${view[0]}`}>${title}</a>
        </li>`)}</ul>
      </nav>
      ${caller?.keys === "on" && html`<p class="row">
        <span>Key: <strong>${caller.name}</strong></span><button class="secondary" onClick=${() => setKey("")}>Forget the key</button>
      </p>`}
      <p role="status">${away && html`<span class="state warn">The gateway does not answer. The page goes on when it is back.</span>`}</p>
      ${caller?.keys === "off" && html`<p class="note">Nothing can be changed here: ${caller.why_not}</p>`}
    </header>
    <main id="content" tabindex="-1" data-view=${place.view}>
      ${allowed
        ? html`<${component} key=${place.view + caller.key} ...${{caller, params: place.params, go, announce}} />`
        : html`<h1>${title}</h1><${Missing} caller=${caller} scope=${scope} refusal=${refusal} onAsk=${() => setAsked(true)} />`}
    </main>
    <div id="announcements" class="visually-hidden" aria-live="polite"></div>
    ${asked && html`<${KeyDialog} refusal=${refusal} onClose=${() => setAsked(false)} />`}`;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("content").focus();
}

function Missing({caller, scope, refusal, onAsk}) {
  if (caller) {
    return html`<p>This view needs a key with the scope <code>${scope}</code>. The key
      <strong>${caller.name}</strong> has ${caller.scopes.join(", ")}.</p>`;
  }
  if (!refusal) return html`<p aria-busy="true">Loading…</p>`;
  if (refusal.status !== 401) return html`<${Problem} error=${refusal} />`;
  return html`<p>The gateway shows its models to those that have a key.</p><button onClick=${onAsk}>Enter a key</button>`;
}

function KeyDialog({refusal, onClose}) {
  const field = useRef();
  const submit = (event) => {
    event.preventDefault();
    setKey(field.current.value.trim());
  };
  return html`<${Dialog} title="The gateway asks for an API key" onClose=${onClose}>
    <form onSubmit=${submit}>
      <label>API key
        <input ref=${field} type="password" autocomplete="off" autofocus required aria-describedby="key-note" />
      </label>
      <p id="key-note"><small>The key is kept in this tab only, until it is closed.</small></p>
      ${key() && html`<${Problem} error=${refusal} />`}
      <div class="row">
        <button>Use this key</button><button type="button" class="secondary" onClick=${onClose}>Cancel</button>
      </div>
    </form>
  <//>`;
}

render(html`<${App} />`, document.getElementById("app"));
