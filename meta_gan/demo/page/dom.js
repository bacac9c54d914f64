// What every module of the page uses: elements by their id, the status line, and files to save.

export const at = (id) => document.getElementById(id);

export function say(text, error = false) {
  at("status").textContent = text;
  at("status").classList.toggle("error", error);
}

export function save(name, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
  say(`${name}: ${Math.ceil(content.size / 1024)} KB.`);
}
