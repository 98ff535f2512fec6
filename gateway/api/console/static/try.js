import {html} from "./vendor/htm-preact.js";

export default function Try() {
  return html`<h1>Try</h1>`;
}
