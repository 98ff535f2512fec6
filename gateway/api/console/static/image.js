// A drawing or a picture -> the numbers of a tensor, shown as the model gets them.

import {html, useEffect, useRef, useState} from "./vendor/htm-preact.js";

const PAPER = 280; // pixels of the drawing's side
const STEP = PAPER / 20; // of the pen by the arrow keys
const PEN = PAPER / 8.5;
const LEAST_INK = 0.1;
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], " ": [0, 0]};
const list = (length, make) => Array.from({length}, (_, i) => make(i));

/** {height, width, channels, kind} of a row's shape that may be a picture; null for any other. A free size is 224. */
export function imageShape(shape) {
  const [height, width, channels = 1] = shape.map((size) => (size < 0 ? 224 : size));
  const side = Math.sqrt(height);
  if (shape.length === 1) return side >= 8 && Number.isInteger(side) ? {height: side, width: side, channels: 1, kind: "flat"} : null;
  const isPicture = height >= 8 && width >= 8 && shape.length < 4 && [1, 3, 4].includes(channels);
  return isPicture ? {height, width, channels, kind: shape.length === 2 ? "plane" : "pixels"} : null;
}

/**
 * RGBA pixels as a row of texts from `min` (black) to `max` (white), each the mean of the pixels under it. `fit` centres the ink,
 * `margin` from the edge and at least `least` pixels wide; else the whole picture is stretched.
 */
export function toRow({data, width, height}, shape, {min, max, whole, invert, fit, margin = 0, least = 0}) {
  const light = (x, y, channel) => {
    const at = 4 * (y * width + x);
    const [red, green, blue] = [data[at], data[at + 1], data[at + 2]];
    const value = (shape.channels === 1 ? 0.299 * red + 0.587 * green + 0.114 * blue : data[at + channel]) / 255;
    return invert && channel < 3 ? 1 - value : value;
  };
  let [left, top, wide, high] = [0, 0, width / shape.width, height / shape.height];
  const ink = fit && inkBox(width, height, light);
  if (ink) {
    wide = Math.max(ink.width / (shape.width - 2 * margin), ink.height / (shape.height - 2 * margin));
    high = wide;
    if (ink.width < least * wide) wide = ink.width / least;
    left = ink.left + (ink.width - shape.width * wide) / 2;
    top = ink.top + (ink.height - shape.height * high) / 2;
  }
  const span = (start, size, i) => [Math.round(start + size * i), Math.max(Math.round(start + size * i) + 1, Math.round(start + size * (i + 1)))];
  const text = (column, row, channel) => {
    const [[x0, x1], [y0, y1]] = [span(left, wide, column), span(top, high, row)];
    let sum = 0;
    for (let y = Math.max(y0, 0); y < Math.min(y1, height); y += 1) {
      for (let x = Math.max(x0, 0); x < Math.min(x1, width); x += 1) sum += light(x, y, channel);
    }
    const value = min + ((max - min) * sum) / ((x1 - x0) * (y1 - y0));
    return String(whole ? Math.round(value) : Number(value.toPrecision(4)));
  };
  const rows = list(shape.height, (y) => list(shape.width, (x) => list(shape.channels, (channel) => text(x, y, channel))));
  return {flat: rows.flat(2), plane: rows.map((row) => row.flat()), pixels: rows}[shape.kind];
}

function inkBox(width, height, light) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (light(x, y, 0) >= LEAST_INK) [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), y];
    }
  }
  return right >= 0 && {left, top, width: right - left + 1, height: bottom - top + 1};
}

/** A row (nested numbers or their texts) as a picture, from black (`min`) to white (`max`). */
export function Picture({row, shape: {height, width, channels}, min, max, label}) {
  const canvas = useRef();
  useEffect(() => {
    const values = row.flat(Infinity).map((value) => (255 * (Number(value) - min)) / (max - min || 1));
    const picture = new ImageData(width, height);
    for (let at = 0; at < 4 * width * height; at += 1) {
      const [pixel, channel] = [Math.floor(at / 4), channels === 1 ? 0 : at % 4];
      picture.data[at] = at % 4 === 3 && channels < 4 ? 255 : values[pixel * channels + channel];
    }
    Object.assign(canvas.current, {width, height}).getContext("2d").putImageData(picture, 0, 0);
  });
  return html`<canvas ref=${canvas} role="img" aria-label=${label} class="picture"></canvas>`;
}

/** Draw, drop, paste or choose a picture: onRow gets its row. `range` {min, max}: black and white until they are set. */
export function ImageField({label, row, shape, dtype, range, onRow}) {
  const paper = useRef();
  const pen = useRef({x: PAPER / 2, y: PAPER / 2});
  const [chosen, setChosen] = useState({invert: false, fit: shape.channels === 1});
  const [status, setStatus] = useState("");
  // As in data sets of digits: the ink fills 20 of 28 pixels, or nearly all of 8, and 5 of the width.
  const frame = shape.height < 20 ? {margin: 0.5, least: (5 / 8) * shape.width} : {margin: Math.round(shape.height / 7)};
  const options = {...range, ...frame, whole: dtype.includes("int"), ...chosen};
  const ink = () => paper.current.getContext("2d", {willReadFrequently: true});
  const read = (all = options) => onRow(toRow(ink().getImageData(0, 0, PAPER, PAPER), shape, all));
  const set = (change) => {
    setChosen({...chosen, ...change});
    read({...options, ...change});
  };
  const clear = () => ink().fillRect(0, 0, PAPER, PAPER);
  const wipe = () => {
    clear();
    set({fit: shape.channels === 1});
  };
  useEffect(clear, []);

  const moveTo = (x, y, draws) => {
    if (draws) {
      const context = Object.assign(ink(), {strokeStyle: "white", lineWidth: PEN, lineCap: "round", lineJoin: "round"});
      context.stroke(new Path2D(`M${pen.current.x} ${pen.current.y}L${x} ${y}`));
      read();
    }
    Object.assign(pen.current, {x, y});
  };
  const pointed = (event) => {
    const box = paper.current.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top].map((at) => (at * PAPER) / box.width);
    if (event.type === "pointerdown") {
      paper.current.setPointerCapture(event.pointerId);
      moveTo(x, y);
    }
    if (event.buttons & 1) moveTo(x, y, true);
  };
  const pressed = (event) => {
    const [right, down] = ARROWS[event.key] ?? [];
    if (event.key === "Delete") wipe();
    else if (right === undefined) return;
    event.preventDefault();
    if (event.key === " ") pen.current.down = !pen.current.down;
    const [x, y] = [pen.current.x + right * STEP, pen.current.y + down * STEP].map((at) => Math.max(0, Math.min(PAPER, at || 0)));
    if (event.key !== "Delete") moveTo(x, y, pen.current.down);
    setStatus(`The pen is ${pen.current.down ? "down" : "up"}, ${pen.current.x / STEP} from the left and ${pen.current.y / STEP} from the top of 20.`);
  };
  const load = async (event, files) => {
    const file = [...files].find(({type}) => type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    try {
      const picture = await createImageBitmap(file);
      clear();
      ink().drawImage(picture, 0, 0, PAPER, PAPER);
      setStatus(`${file.name}: ${picture.width} × ${picture.height} pixels`);
      set({fit: false});
    } catch {
      setStatus(`The browser cannot read ${file.name} as a picture.`);
    }
  };
  const number = (name, title) => html`<label>${title} <input type="number" step="any" defaultValue=${range[name]}
    onInput=${({target}) => target.value && set({[name]: Number(target.value)})} /></label>`;
  const tick = (name, title) => html`<label><input type="checkbox" checked=${options[name]}
    onChange=${({target}) => set({[name]: target.checked})} /> ${title}</label>`;
  return html`<fieldset onPaste=${(event) => load(event, event.clipboardData.files)}
      onDragOver=${(event) => event.preventDefault()} onDrop=${(event) => load(event, event.dataTransfer.files)}>
    <legend>${label}: draw, drop or paste a picture</legend>
    <div class="row">
      <canvas ref=${paper} class="paper" width=${PAPER} height=${PAPER} tabindex="0" role="application" aria-label=${`Drawing of
        ${label}: the arrow keys move the pen, space puts it down or up, Delete clears`}
        onPointerDown=${pointed} onPointerMove=${pointed} onKeyDown=${pressed}></canvas>
      <${Picture} row=${row} shape=${shape} ...${options} label=${`${label} as the model gets it`} />
    </div>
    <p role="status">${status}</p>
    <div class="row">
      <label>File <input type="file" accept="image/*" onChange=${(event) => load(event, event.target.files)} /></label>
      ${number("min", "Black is")}${number("max", "White is")}${tick("invert", "Invert")}${tick("fit", "Cut out and centre")}
      <button type="button" onClick=${wipe}>Clear</button>
    </div>
  </fieldset>`;
}
