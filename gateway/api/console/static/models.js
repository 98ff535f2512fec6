import {html} from "./vendor/htm-preact.js";

export default function Models() {
  return html`<h1>Models</h1>`;
}
