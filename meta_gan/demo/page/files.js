// Pictures from files, chosen or dropped; each can be removed again.

import { at, say } from "./dom.js";
import { picture } from "./pictures.js";

// The entries `{name, blob, url}`, in the order in which they came.
export const dropped = [];

function address(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

function listed(entry, changed) {
  const item = document.createElement("li"), remove = document.createElement("button");
  remove.type = "button";
  remove.title = `remove ${entry.name}`;
  remove.setAttribute("aria-label", `remove ${entry.name}`);
  remove.append(picture(entry.url, "").firstChild);
  remove.addEventListener("click", () => {
    dropped.splice(dropped.indexOf(entry), 1);
    item.remove();
    say(`${entry.name}: removed.`);
    changed();
  });
  item.append(remove);
  return item;
}

// `prepare` returns the blob to keep of a file.
async function add(files, prepare, changed) {
  for (const file of files) {
    try {
      const blob = await prepare(file), entry = { name: file.name, blob, url: await address(blob) };
      dropped.push(entry);
      at("dropped").append(listed(entry, changed));
    } catch (error) {
      return say(`${file.name} cannot be read as a picture`, true);
    }
  }
  changed();
}

export function clearFiles() {
  dropped.length = 0;
  at("dropped").replaceChildren();
  at("files").value = "";
}

export function takeFiles(prepare, changed) {
  at("files").addEventListener("change", () => add(at("files").files, prepare, changed));
  for (const name of ["dragover", "dragleave", "drop"]) {
    at("drop").addEventListener(name, (event) => {
      event.preventDefault();
      at("drop").classList.toggle("over", name === "dragover");
      if (name === "drop") add(event.dataTransfer.files, prepare, changed);
    });
  }
}
