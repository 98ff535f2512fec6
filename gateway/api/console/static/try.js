import {html} from "./vendor/htm-preact.js";

export default function Try() {
  return html`<div><h1>Try</h1></div>`;
}
