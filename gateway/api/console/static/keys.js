import {html} from "./vendor/htm-preact.js";

export default function Keys() {
  return html`<h1>Keys</h1>`;
}
