import {html} from "./vendor/htm-preact.js";

export default function About() {
  return html`<h1>About</h1>`;
}
