// The page that `meta-gan demo` serves: its server reads the pictures, adapts a model and samples.

import { at, save, say } from "./dom.js";
import { begin } from "./page.js";

const LARGEST = 2 ** 20, REDUCED = 512;
let models = [];

const base64 = (url) => url.split(",")[1] || "";
const coloured = () => models.some((each) => each.name === at("model").value && each.channels > 1);

function encoded({ pictures, ...settings }) {
  const steps = at("steps").value;
  const images = pictures.map((each) => base64(each.canvas ? each.canvas.toDataURL("image/png") : each.url));
  return { ...settings, images, model: at("model").value, inner_steps: steps === "" ? null : Number(steps) };
}

async function post(path, content, pictures, signal) {
  const answer = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content), signal,
  });
  if (answer.ok) return answer;
  const failed = await answer.json().catch(() => ({ error: `the server failed (${answer.status})` }));
  // The server numbers the pictures; the page knows where they are from.
  const named = (found, number) => pictures[number - 1]?.name ?? found;
  throw new Error(failed.error.replace(/picture_(\d+)\.png/, named));
}

// The request as it is sent is kept, because the settings may change before a download.
async function answer(request, signal) {
  const sent = encoded(request), received = await post("api/samples", sent, request.pictures, signal);
  return { ...await received.json(), sent };
}

// A large picture, such as a photograph, is made smaller here: the models see far fewer pixels.
async function prepare(file) {
  if (file.size <= LARGEST) return file;
  const image = await createImageBitmap(file), scale = Math.min(1, REDUCED / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.ceil(image.width * scale), Math.ceil(image.height * scale)];
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

const page = begin({ answer, colour: () => (coloured() ? at("ink").value : "#fff"), prepare });

async function download(what) {
  try {
    say("Preparing the file ...");
    const { request, answer: found } = page.shown();
    const received = await post(`api/download/${what}`, found.sent, request.pictures);
    save(received.headers.get("content-disposition").split('"')[1], await received.blob());
  } catch (error) {
    say(error.message, true);
  }
}

function chosen() {
  at("ink-label").hidden = !coloured();
  page.soon();
}

async function list() {
  models = await (await fetch("api/models")).json();
  const option = (each) => new Option(`${each.name} (${each.width} x ${each.height})`, each.name);
  at("model").replaceChildren(...models.map(option));
  const preferred = models.find((each) => each.name === "omniglot");
  if (preferred) at("model").value = preferred.name;
  at("model").addEventListener("change", chosen);
  chosen();
}

for (const button of document.querySelectorAll("[data-file]")) {
  button.addEventListener("click", () => download(button.dataset.file));
}
list().catch((error) => say(error.message, true));
