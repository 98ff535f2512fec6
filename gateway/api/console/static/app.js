// The page: this file only says that the gateway has sent it.
import {html, render} from "./vendor/htm-preact.js";

render(html`<main><h1>Console</h1></main>`, document.getElementById("app"));
