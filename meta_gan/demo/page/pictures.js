// Lists of pictures: the support set, the samples with their nearest support pictures, shifted copies.

import { at } from "./dom.js";

export function picture(url, label) {
  const image = document.createElement("img");
  image.src = url;
  image.alt = label;
  const item = document.createElement("li");
  item.append(image);
  return item;
}

function sample(url, index, nearest) {
  const item = picture(url, ""), button = document.createElement("button");
  const near = (on) => at("seen").children[nearest].classList.toggle("near", on);
  button.type = "button";
  button.tabIndex = index ? -1 : 0;
  button.title = `nearest to your picture ${nearest + 1}`;
  button.setAttribute("aria-label", `sample ${index + 1}, nearest to your picture ${nearest + 1}`);
  button.append(item.firstChild);
  for (const name of ["pointerenter", "focus"]) button.addEventListener(name, () => near(true));
  for (const name of ["pointerleave", "blur"]) button.addEventListener(name, () => near(false));
  item.append(button);
  return item;
}

// Show an answer, and return the line that describes it.
export function show(answer) {
  at("results").hidden = false;
  at("seen").replaceChildren(...answer.support.map((url, index) => picture(url, `your picture ${index + 1}`)));
  at("made").replaceChildren(...answer.samples.map((url, index) => sample(url, index, answer.nearest[index])));
  if (answer.shifted) {
    at("shifted").replaceChildren(...answer.shifted.map((url, index) => picture(url, `shifted copy ${index + 1}`)));
  }
  const note = answer.note ? ` ${answer.note}.` : "";
  const counted = (list, name) => `${list.length} ${name}${list.length === 1 ? "" : "s"}`;
  const made = `${counted(answer.samples, "sample")} from ${counted(answer.support, "picture")}`;
  return `${made} in ${answer.seconds.toFixed(2)} s.${note}`;
}

// One stop of the Tab key for all samples; the arrow keys move among them.
export function among(event) {
  const moves = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };
  const buttons = [...at("made").querySelectorAll("button")];
  const next = buttons[buttons.indexOf(document.activeElement) + moves[event.key]];
  if (!next) return;
  buttons.forEach((button) => { button.tabIndex = button === next ? 0 : -1; });
  next.focus();
  event.preventDefault();
}
