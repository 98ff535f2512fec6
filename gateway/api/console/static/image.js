// A drawing or a picture -> the numbers of a tensor, shown as the model gets them.

import {html, useEffect, useRef, useState} from "./vendor/htm-preact.js";

const PAPER = 280; // pixels of the drawing's side
const STEP = PAPER / 20;
const LEAST_INK = 0.1;

/** {height, width, channels, flat} of one row's shape that may be a picture; null for any other. A free size is 224. */
export function imageShape(shape) {
  const [height, width, channels = 1, ...more] = shape.map((size) => (size < 0 ? 224 : size));
  if (shape.length === 1 && height >= 64 && Number.isInteger(Math.sqrt(height))) {
    return {height: Math.sqrt(height), width: Math.sqrt(height), channels: 1, flat: true};
  }
  if (!(height >= 8 && width >= 8) || more.length || ![1, 3, 4].includes(channels)) return null;
  return {height, width, channels, bare: shape.length === 2};
}

/**
 * RGBA pixels as nested texts: each is the mean of the pixels under it. `fit` cuts out the ink, keeps its aspect ratio and puts
 * it into the middle, `margin` pixels from the edge; else all of the picture is stretched.
 */
export function toTensor({data, width, height}, shape, {min, max, whole, invert, fit, margin = 0}) {
  const light = (x, y, channel) => {
    const at = 4 * (y * width + x);
    if (channel === 3) return data[at + 3] / 255;
    const value = shape.channels === 1 ? 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2] : data[at + channel];
    return invert ? 1 - value / 255 : value / 255;
  };
  let [left, top, stepX, stepY] = [0, 0, width / shape.width, height / shape.height];
  const ink = fit && inkBox(width, height, (x, y) => light(x, y, 0));
  if (ink) {
    stepX = Math.max(ink.width / (shape.width - 2 * margin), ink.height / (shape.height - 2 * margin));
    stepY = stepX;
    left = ink.left + (ink.width - shape.width * stepX) / 2;
    top = ink.top + (ink.height - shape.height * stepY) / 2;
  }
  const mean = (column, row, channel) => {
    const [x0, y0] = [Math.round(left + column * stepX), Math.round(top + row * stepY)];
    const [x1, y1] = [Math.max(x0 + 1, Math.round(left + (column + 1) * stepX)), Math.max(y0 + 1, Math.round(top + (row + 1) * stepY))];
    let sum = 0;
    for (let y = Math.max(y0, 0); y < Math.min(y1, height); y += 1) {
      for (let x = Math.max(x0, 0); x < Math.min(x1, width); x += 1) sum += light(x, y, channel);
    }
    return sum / ((x1 - x0) * (y1 - y0));
  };
  const text = (part) => String(Number((min + (max - min) * part)[whole ? "toFixed" : "toPrecision"](whole ? 0 : 4)));
  const list = (length, make) => Array.from({length}, (_, i) => make(i));
  const rows = list(shape.height, (y) => list(shape.width, (x) => {
    const values = list(shape.channels, (channel) => text(mean(x, y, channel)));
    return shape.bare || shape.flat ? values[0] : values;
  }));
  return shape.flat ? rows.flat() : rows;
}

function inkBox(width, height, light) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (light(x, y) < LEAST_INK) continue;
      [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), y];
    }
  }
  return right >= 0 && {left, top, width: right - left + 1, height: bottom - top + 1};
}

/** Paints one row (nested numbers or their texts) on a canvas, a pixel for each. */
export function paint(canvas, row, {height, width, channels}, {min, max}) {
  const values = row.flat(Infinity).map((value) => (255 * (Number(value) - min)) / (max - min || 1));
  const picture = new ImageData(width, height);
  for (let at = 0; at < width * height; at += 1) {
    const pixel = values.slice(at * channels, (at + 1) * channels);
    picture.data.set(channels === 1 ? [pixel[0], pixel[0], pixel[0], 255] : [...pixel, 255].slice(0, 4), 4 * at);
  }
  Object.assign(canvas, {width, height}).getContext("2d").putImageData(picture, 0, 0);
}

/** One row's picture as a canvas of that many pixels, enlarged. */
export function Picture({row, shape, range, label}) {
  const canvas = useRef();
  useEffect(() => paint(canvas.current, row, shape, range));
  return html`<canvas ref=${canvas} role="img" aria-label=${label} class="picture"></canvas>`;
}

/** Draw, drop, paste or choose a picture; `onRow` gets the row's tensor. `range` {min, max} is what the values are at first. */
export function ImageField({label, row, shape, dtype, range, onRow}) {
  const paper = useRef();
  const pen = useRef({x: PAPER / 2, y: PAPER / 2, down: false});
  const [options, setOptions] = useState({...range, invert: false, fit: shape.channels === 1});
  const [status, setStatus] = useState("");
  const ink = () => paper.current.getContext("2d", {willReadFrequently: true});
  const read = (changed = options) =>
    onRow(toTensor(ink().getImageData(0, 0, PAPER, PAPER), shape,
      {...changed, whole: dtype.includes("int"), margin: shape.height < 20 ? 0 : Math.round(shape.height / 7)}));
  const set = (change, isRead = true) => {
    const changed = {...options, ...change};
    setOptions(changed);
    if (isRead) read(changed);
  };
  const clear = () => {
    ink().fillStyle = "black";
    ink().fillRect(0, 0, PAPER, PAPER);
  };
  useEffect(clear, []);

  const moveTo = (x, y, draws) => {
    if (draws) {
      const context = Object.assign(ink(), {strokeStyle: "white", lineWidth: PAPER / 11, lineCap: "round", lineJoin: "round"});
      context.beginPath();
      context.moveTo(pen.current.x, pen.current.y);
      context.lineTo(x, y);
      context.stroke();
      read();
    }
    Object.assign(pen.current, {x, y});
  };
  const pointed = (event) => {
    const box = paper.current.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top].map((at) => (at * PAPER) / box.width);
    if (event.type === "pointerdown") {
      paper.current.setPointerCapture(event.pointerId);
      moveTo(x, y, false);
    }
    if (event.buttons & 1) moveTo(x, y, true);
  };
  const pressed = (event) => {
    const {x, y, down} = pen.current;
    const [dx, dy] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key] ?? [0, 0];
    if (event.key === " ") pen.current.down = !down;
    else if (event.key === "Delete") clear();
    else if (!dx && !dy) return;
    event.preventDefault();
    const within = (at) => Math.max(0, Math.min(PAPER, at));
    moveTo(within(x + dx * STEP), within(y + dy * STEP), pen.current.down);
    setStatus(`Pen ${pen.current.down ? "down" : "up"} at ${Math.round(pen.current.x / STEP)}, ${Math.round(pen.current.y / STEP)} of 20`);
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
    } catch (error) {
      setStatus(`${file.name} is no picture that the browser can read`);
    }
  };
  const number = (name) => html`<label>${name === "min" ? "Black is" : "White is"}
    <input type="number" step="any" value=${options[name]} onInput=${(event) => set({[name]: Number(event.target.value)})} /></label>`;
  const tick = (name, title) => html`<label><input type="checkbox" checked=${options[name]}
    onChange=${(event) => set({[name]: event.target.checked})} /> ${title}</label>`;
  return html`<fieldset onPaste=${(event) => load(event, event.clipboardData.files)}
      onDragOver=${(event) => event.preventDefault()} onDrop=${(event) => load(event, event.dataTransfer.files)}>
    <legend>${label}: draw, drop or paste a picture</legend>
    <div class="row">
      <canvas ref=${paper} class="paper" width=${PAPER} height=${PAPER} tabindex="0" role="application"
        aria-label=${`Drawing of ${label}: the arrow keys move the pen, space puts it down or up, Delete clears`}
        onPointerDown=${pointed} onPointerMove=${pointed} onKeyDown=${pressed}></canvas>
      <${Picture} row=${row} shape=${shape} range=${options} label=${`${label} as the model gets it`} />
    </div>
    <p role="status">${status}</p>
    <div class="row">
      <label>File <input type="file" accept="image/*" onChange=${(event) => load(event, event.target.files)} /></label>
      ${number("min")}${number("max")}${tick("invert", "Invert")}${tick("fit", "Cut out and centre")}
      <button type="button" class="secondary" onClick=${() => { clear(); set({fit: shape.channels === 1}); }}>Clear</button>
    </div>
  </fieldset>`;
}
