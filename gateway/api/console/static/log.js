import {html} from "./vendor/htm-preact.js";

export default function Log() {
  return html`<h1>Log</h1>`;
}
