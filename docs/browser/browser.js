// The static page: the pictures are read, and the model runs, in the browser.

import { at, save, say } from "./dom.js";
import { walked } from "./noise.js";
import * as ort from "./ort.wasm.bundle.min.mjs";
import { begin } from "./page.js";
import { floats, grid, levels, nearest, support } from "./pixels.js";

// Several threads would need headers that a plain file server does not send.
ort.env.wasm.numThreads = 1;
// In a worker, so that one can go on drawing meanwhile.
ort.env.wasm.proxy = true;

let turn = Promise.resolve();
const loading = load();

async function load() {
  const received = await fetch("model.json");
  if (!received.ok) throw new Error(`model.json cannot be loaded (status ${received.status})`);
  const about = await received.json(), [height, width] = about.example_shape;
  const session = await ort.InferenceSession.create(about.file, { executionProviders: ["wasm"] });
  const model = { ...about, height, width, size: height * width, session };
  // The first run is the slowest, as the browser is still compiling; it is over before the first drawing is.
  await run(model, new Float32Array(model.size), new Float32Array(about.latent_dim));
  return model;
}

// One run after another; one that the page gave up while it waited is not computed.
function run({ session, size, example_shape, latent_dim }, given, z, signal) {
  // Copies, as the worker takes the arrays away.
  const inputs = {
    support: new ort.Tensor("float32", given.slice(), [given.length / size, ...example_shape]),
    z: new ort.Tensor("float32", z.slice(), [z.length / latent_dim, latent_dim]),
  };
  const own = turn.then(() => {
    signal?.throwIfAborted();
    return session.run(inputs);
  });
  turn = own.catch(() => {});
  return own.then(({ samples }) => samples.data);
}

// The browser turns a file upright and decodes it; its colour profile is left aside, as Python's reader does.
async function decoded({ name, blob }) {
  try {
    return await createImageBitmap(blob, { colorSpaceConversion: "none" });
  } catch (error) {
    throw new Error(`${name} cannot be read as a picture`);
  }
}

async function pixels(given) {
  const image = given.canvas ?? await decoded(given), canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, image.width, image.height);
}

function drawn({ width, height, levels: values }) {
  const canvas = document.createElement("canvas"), data = new Uint8ClampedArray(4 * values.length);
  [canvas.width, canvas.height] = [width, height];
  values.forEach((level, i) => data.set([level, level, level, 255], 4 * i));
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  return canvas;
}

function check(name) {
  const { min, max, value } = at(name);
  if (!/^\d+$/.test(value) || Number(value) < Number(min) || Number(value) > Number(max)) {
    throw new Error(`'${name}' must be an integer from ${min} to ${max}. Received: '${value}'`);
  }
}

async function answer({ pictures, count, seed, walk, invert }, signal) {
  ["count", "seed"].forEach(check);
  const started = performance.now(), given = await Promise.all(pictures.map(pixels)), model = await loading;
  const read = support(given, model, invert), seen = floats(read.levels);
  const z = walked(seed, count, model.latent_dim, model.stratified, walk);
  const samples = await run(model, seen, z, signal);
  const made = levels(samples, model.size);
  const url = (picture) => drawn({ ...model, levels: picture }).toDataURL("image/png");
  return {
    support: read.levels.map(url), samples: made.map(url), nearest: nearest(samples, seen, model.size),
    note: read.note, seconds: (performance.now() - started) / 1000, values: { model, read: read.levels, made, z },
  };
}

const page = begin({ answer, colour: () => "#fff", prepare: (file) => file });

const FILES = {
  "samples.png": ({ model, made }) => {
    const canvas = drawn(grid(made, model.height, model.width));
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  },
  "samples.json": ({ model, read, made, z }) => {
    const { name, file, example_shape, latent_dim } = model, rows = (all) => all.map((each) => [...each]);
    const noise = made.map((_, index) => z.subarray(index * latent_dim, (index + 1) * latent_dim));
    const content = { model: name, file, example_shape, support: rows(read), z: rows(noise), samples: rows(made) };
    return new Blob([JSON.stringify(content)]);
  },
};

for (const button of document.querySelectorAll("[data-file]")) {
  button.addEventListener("click", async () => {
    save(button.dataset.file, await FILES[button.dataset.file](page.shown().answer.values));
  });
}
loading.then(page.soon, (error) => say(error.message, true));
