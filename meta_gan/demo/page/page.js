// The page from drawings to samples, whoever computes them: the demo's server, or the browser itself.

import { at, say } from "./dom.js";
import { clearFiles, dropped, takeFiles } from "./files.js";
import { Pad } from "./pads.js";
import { among, show } from "./pictures.js";

const PADS = 5, PAUSE = 300;

// `answer(request, signal)` returns `{support, samples, nearest, seconds, note, shifted}`, in which pictures are
// addresses; `colour()` is that of the pen; `prepare(file)` returns the blob to keep of a file. Returns `soon()`, which
// makes samples after a pause, and `shown()`, the request and the answer of the samples on the page.
export function begin({ answer, colour, prepare }) {
  const pads = [];
  let asking = null, shown = null, waiting = 0;

  function request() {
    const drawn = pads.filter((pad) => !pad.empty).map((pad) => ({ name: `field ${pad.number}`, canvas: pad.kept }));
    return {
      pictures: [...drawn, ...dropped], count: Number(at("count").value), seed: Number(at("seed").value),
      walk: Number(at("walk").value) / 100, invert: at("invert").value,
    };
  }

  async function make() {
    clearTimeout(waiting);
    if (asking) asking.abort();
    const content = request();
    if (!content.pictures.length) {
      at("results").hidden = true;
      return say("Draw a character, or choose pictures.");
    }
    const own = asking = new AbortController();
    say("Adapting ...");
    try {
      const found = await answer(content, own.signal);
      if (own !== asking) return;
      shown = { request: content, answer: found };
      say(show(found));
    } catch (error) {
      if (own === asking && error.name !== "AbortError") say(error.message, true);
    }
  }

  function soon() {
    clearTimeout(waiting);
    waiting = setTimeout(make, PAUSE);
  }

  function clear() {
    pads.forEach((pad) => pad.clear());
    clearFiles();
    make();
  }

  function again() {
    at("walk").value = 0;
    at("seed").value = Number(at("seed").value) + 1;
    make();
  }

  for (let number = 1; number <= PADS; number++) pads.push(new Pad(number, at("pads"), colour, soon));
  at("settings").addEventListener("submit", (event) => { event.preventDefault(); make(); });
  at("again").addEventListener("click", again);
  at("clear").addEventListener("click", clear);
  at("walk").addEventListener("input", soon);
  at("invert").addEventListener("change", soon);
  at("made").addEventListener("keydown", among);
  takeFiles(prepare, soon);
  return { soon, shown: () => shown };
}
