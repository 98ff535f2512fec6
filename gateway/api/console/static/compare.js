import {html} from "./vendor/htm-preact.js";

export default function Compare() {
  return html`<h1>Compare</h1>`;
}
