import {html} from "./vendor/htm-preact.js";

export default function Compare() {
  return html`<div><h1>Compare</h1></div>`;
}
