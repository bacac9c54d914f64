// Fields that one draws on with a pointer or with the keyboard.

import { say } from "./dom.js";

const SIDE = 112, PEN = 6, STEP = 4;

export class Pad {
  // `colour` returns that of the pen; `changed` is called after each stroke.
  constructor(number, parent, colour, changed) {
    this.canvas = document.createElement("canvas");
    this.canvas.width = this.canvas.height = SIDE;
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-roledescription", "field for a drawing");
    this.canvas.setAttribute("aria-describedby", "pad-help");
    this.number = number;
    this.colour = colour;
    this.changed = changed;
    // The drawing without the pen, which `canvas` shows as well.
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
    parent.append(this.canvas);
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
    context.strokeStyle = this.colour();
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
    if (this.drawing) this.changed();
    this.drawing = false;
  }

  key(event) {
    const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    if (event.key in moves) {
      const inside = (value) => Math.min(SIDE - PEN / 2, Math.max(PEN / 2, value));
      const [x, y] = [inside(this.pen.x + moves[event.key][0]), inside(this.pen.y + moves[event.key][1])];
      if (this.pen.down) this.line(x, y);
      [this.pen.x, this.pen.y] = [x, y];
      if (this.pen.down) this.changed();
    } else if (event.key === " ") {
      this.pen.down = !this.pen.down;
      say(`Field ${this.number}: pen ${this.pen.down ? "down" : "up"}.`);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.clear();
      say(`Field ${this.number}: cleared.`);
      this.changed();
    } else {
      return;
    }
    event.preventDefault();
    this.show();
  }
}
