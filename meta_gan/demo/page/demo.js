"use strict";

const PADS = 5, SIDE = 112, PEN = 6, STEP = 4, PAUSE = 300, LARGEST = 2 ** 20, REDUCED = 512;
const at = (id) => document.getElementById(id);
const pads = [], dropped = [];
let models = [], asking = null, shown = null, waiting = 0;

class Pad {
  constructor(number) {
    this.canvas = document.createElement("canvas");
    this.canvas.width = this.canvas.height = SIDE;
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-roledescription", "field for a drawing");
    this.canvas.setAttribute("aria-describedby", "pad-help");
    this.number = number;
    this.kept = document.createElement("canvas");
    this.kept.width = this.kept.height = SIDE;
    this.pen = { x: SIDE / 2, y: SIDE / 2, down: false };
    this.clear();
    this.canvas.addEventListener("pointerdown", (event) => this.start(event));
    this.canvas.addEventListener("pointermove", (event) => this.follow(event));
    for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, () => this.stop());
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("focus", () => this.show());
    this.canvas.addEventListener("blur", () => { this.pen.down = false; this.show(); });
    at("pads").append(this.canvas);
  }

  clear() {
    const context = this.kept.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, SIDE, SIDE);
    this.empty = true;
    this.show();
  }

  line(x, y) {
    const context = this.kept.getContext("2d");
    context.strokeStyle = at("ink-label").hidden ? "#fff" : at("ink").value;
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(this.pen.x, this.pen.y);
    context.lineTo(x, y);
    context.stroke();
    this.empty = false;
  }

  show() {
    const context = this.canvas.getContext("2d");
    context.drawImage(this.kept, 0, 0);
    if (document.activeElement === this.canvas) {
      context.strokeStyle = this.pen.down ? "#ff8a3d" : "#6aa5ff";
      context.lineWidth = 2;
      context.strokeRect(this.pen.x - PEN / 2, this.pen.y - PEN / 2, PEN, PEN);
    }
    const drawn = this.empty ? "empty" : "drawn";
    this.canvas.setAttribute("aria-label", `Field ${this.number}, ${drawn}, pen ${this.pen.down ? "down" : "up"}`);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * SIDE / box.width, (event.clientY - box.top) * SIDE / box.height];
  }

  start(event) {
    this.canvas.setPointerCapture(event.pointerId);
    [this.pen.x, this.pen.y] = this.place(event);
    this.drawing = true;
    this.line(this.pen.x + 0.01, this.pen.y);
    this.show();
  }

  follow(event) {
    if (!this.drawing) return;
    const [x, y] = this.place(event);
    this.line(x, y);
    [this.pen.x, this.pen.y] = [x, y];
    this.show();
  }

  stop() {
    if (this.drawing) soon();
    this.drawing = false;
  }

  key(event) {
    const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    if (event.key in moves) {
      const inside = (value) => Math.min(SIDE - PEN / 2, Math.max(PEN / 2, value));
      const [x, y] = [inside(this.pen.x + moves[event.key][0]), inside(this.pen.y + moves[event.key][1])];
      if (this.pen.down) this.line(x, y);
      [this.pen.x, this.pen.y] = [x, y];
      if (this.pen.down) soon();
    } else if (event.key === " ") {
      this.pen.down = !this.pen.down;
      say(`Field ${this.number}: pen ${this.pen.down ? "down" : "up"}.`);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.clear();
      say(`Field ${this.number}: cleared.`);
      soon();
    } else {
      return;
    }
    event.preventDefault();
    this.show();
  }

  content() {
    return this.kept.toDataURL("image/png").split(",")[1];
  }
}

function say(text, error = false) {
  at("status").textContent = text;
  at("status").classList.toggle("error", error);
}

function request() {
  const drawn = pads.filter((pad) => !pad.empty);
  const images = [...drawn.map((pad) => pad.content()), ...dropped.map((file) => file.content)];
  const steps = at("steps").value;
  return {
    model: at("model").value, images, count: Number(at("count").value), seed: Number(at("seed").value),
    inner_steps: steps === "" ? null : Number(steps), walk: Number(at("walk").value) / 100, invert: at("invert").value,
  };
}

async function post(path, content, signal) {
  const answer = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content), signal,
  });
  if (answer.ok) return answer;
  const failed = await answer.json().catch(() => ({ error: `the server failed (${answer.status})` }));
  // The server numbers the pictures; the page knows where they are from.
  const names = [...pads.filter((pad) => !pad.empty).map((pad) => `field ${pad.number}`), ...dropped.map((file) => file.name)];
  throw new Error(failed.error.replace(/picture_(\d+)\.png/, (found, number) => names[number - 1] || found));
}

function picture(url, label) {
  const image = document.createElement("img");
  image.src = url;
  image.alt = label;
  const item = document.createElement("li");
  item.append(image);
  return item;
}

function show(answer) {
  at("results").hidden = false;
  at("seen").replaceChildren(...answer.support.map((url, index) => picture(url, `your picture ${index + 1}`)));
  at("shifted").replaceChildren(...answer.shifted.map((url, index) => picture(url, `shifted copy ${index + 1}`)));
  const near = (index, on) => at("seen").children[index].classList.toggle("near", on);
  at("made").replaceChildren(...answer.samples.map((url, index) => {
    const item = picture(url, ""), button = document.createElement("button"), nearest = answer.nearest[index];
    button.type = "button";
    button.tabIndex = index ? -1 : 0;
    button.title = `nearest to your picture ${nearest + 1}`;
    button.setAttribute("aria-label", `sample ${index + 1}, nearest to your picture ${nearest + 1}`);
    button.append(item.firstChild);
    for (const name of ["pointerenter", "focus"]) button.addEventListener(name, () => near(nearest, true));
    for (const name of ["pointerleave", "blur"]) button.addEventListener(name, () => near(nearest, false));
    item.append(button);
    return item;
  }));
  const note = answer.note ? ` ${answer.note}.` : "";
  const counted = (list, name) => `${list.length} ${name}${list.length === 1 ? "" : "s"}`;
  say(`${counted(answer.samples, "sample")} from ${counted(answer.support, "picture")} in ${answer.seconds.toFixed(2)} s.${note}`);
}

async function make() {
  clearTimeout(waiting);
  if (asking) asking.abort();
  const content = request();
  if (!content.images.length) {
    at("results").hidden = true;
    return say("Draw a character, or choose pictures.");
  }
  const own = asking = new AbortController();
  say("Adapting ...");
  try {
    const answer = await (await post("api/samples", content, own.signal)).json();
    if (own !== asking) return;
    shown = content;
    show(answer);
  } catch (error) {
    if (error.name !== "AbortError") say(error.message, true);
  }
}

function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(make, PAUSE);
}

// A large picture, such as a photograph, is made smaller here: the models see far fewer pixels.
async function reduced(file) {
  const image = await createImageBitmap(file), scale = Math.min(1, REDUCED / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.ceil(image.width * scale), Math.ceil(image.height * scale)];
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function address(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

async function add(files) {
  for (const file of files) {
    try {
      const url = await address(file.size > LARGEST ? await reduced(file) : file);
      const entry = { content: url.split(",")[1] || "", name: file.name }, item = document.createElement("li");
      const remove = document.createElement("button");
      remove.type = "button";
      remove.title = `remove ${file.name}`;
      remove.setAttribute("aria-label", `remove ${file.name}`);
      remove.append(picture(url, "").firstChild);
      remove.addEventListener("click", () => {
        dropped.splice(dropped.indexOf(entry), 1);
        item.remove();
        say(`${file.name}: removed.`);
        soon();
      });
      item.append(remove);
      dropped.push(entry);
      at("dropped").append(item);
    } catch (error) {
      return say(`${file.name} cannot be read as a picture`, true);
    }
  }
  soon();
}

// One stop of the Tab key for all samples; the arrow keys move among them.
function among(event) {
  const moves = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }, buttons = [...at("made").querySelectorAll("button")];
  const next = buttons[buttons.indexOf(document.activeElement) + moves[event.key]];
  if (!next) return;
  buttons.forEach((button) => { button.tabIndex = button === next ? 0 : -1; });
  next.focus();
  event.preventDefault();
}

function clear() {
  pads.forEach((pad) => pad.clear());
  dropped.length = 0;
  at("dropped").replaceChildren();
  at("files").value = "";
  make();
}

async function download(what) {
  try {
    say("Preparing the file ...");
    const answer = await post(`api/download/${what}`, shown), content = await answer.blob();
    const name = answer.headers.get("content-disposition").split('"')[1];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(content);
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
    say(`${name}: ${Math.ceil(content.size / 1024)} KB.`);
  } catch (error) {
    say(error.message, true);
  }
}

function chosen() {
  const model = models.find((each) => each.name === at("model").value);
  at("ink-label").hidden = model.channels === 1;
  soon();
}

async function begin() {
  for (let number = 1; number <= PADS; number++) pads.push(new Pad(number));
  models = await (await fetch("api/models")).json();
  at("model").replaceChildren(...models.map((each) => new Option(`${each.name} (${each.width} x ${each.height})`, each.name)));
  const preferred = models.find((each) => each.name === "omniglot");
  if (preferred) at("model").value = preferred.name;
  at("model").addEventListener("change", chosen);
  chosen();
}

at("settings").addEventListener("submit", (event) => { event.preventDefault(); make(); });
at("again").addEventListener("click", () => { at("walk").value = 0; at("seed").value = Number(at("seed").value) + 1; make(); });
at("clear").addEventListener("click", clear);
at("walk").addEventListener("input", soon);
at("invert").addEventListener("change", soon);
at("made").addEventListener("keydown", among);
at("files").addEventListener("change", () => add(at("files").files));
for (const name of ["dragover", "dragleave", "drop"]) {
  at("drop").addEventListener(name, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") add(event.dataTransfer.files);
  });
}
for (const button of document.querySelectorAll("[data-file]")) {
  button.addEventListener("click", () => download(button.dataset.file));
}
begin().catch((error) => say(error.message, true));
