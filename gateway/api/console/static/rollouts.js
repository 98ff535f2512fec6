import {html} from "./vendor/htm-preact.js";

export default function Rollouts() {
  return html`<h1>Rollouts</h1>`;
}
