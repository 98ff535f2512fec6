import {html} from "./vendor/htm-preact.js";

export default function Rollouts() {
  return html`<div><h1>Rollouts</h1></div>`;
}
