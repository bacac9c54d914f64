// A picture as the model receives it: the arithmetic of meta_gan/tasks/media/ and meta_gan/tasks/pixels.py, to the bit.
// A picture is {width, height, data}, with four bytes of red, green, blue and opacity for each pixel.

// Fixed point, as Pillow has it for bytes.
const BITS = 22;
const FAINT = 32, CLEAR = 64;

const BOX = { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) };
const BILINEAR = { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) };

const bounded = (level) => Math.min(255, Math.max(0, level));

// Halves go to the even neighbour, as in Python.
function rounded(value) {
  const below = Math.floor(value), rest = value - below;
  return rest === 0.5 ? below + (below % 2) : Math.round(value);
}

function median(values) {
  const sorted = Float64Array.from(values).sort(), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

// The first input and the integer weights of each output of an axis.
function weights(size, wanted, filter) {
  const scale = size / wanted, stretch = Math.max(1, scale), support = filter.support * stretch;
  return Array.from({ length: wanted }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(size, Math.trunc(centre + support + 0.5));
    const raw = [];
    for (let x = first; x < last; x++) raw.push(filter.weight((x - centre + 0.5) / stretch));
    const total = raw.reduce((sum, each) => sum + each, 0);
    return { first, kept: raw.map((each) => Math.trunc(0.5 + (each / total) * 2 ** BITS)) };
  });
}

// Resize along one axis: `step` bytes lie between neighbours of that axis, `across` between the lines along it.
function along(picture, wanted, filter, horizontal) {
  const { width, height, data } = picture;
  const made = horizontal ? { width: wanted, height } : { width, height: wanted };
  made.data = new Uint8ClampedArray(4 * made.width * made.height);
  const [step, across, lines] = horizontal ? [4, 4 * width, height] : [4 * width, 4, width];
  const [madeStep, madeAcross] = horizontal ? [4, 4 * wanted] : [4 * width, 4];
  weights(horizontal ? width : height, wanted, filter).forEach(({ first, kept }, place) => {
    for (let line = 0; line < lines; line++) {
      for (let channel = 0; channel < 4; channel++) {
        let sum = 2 ** (BITS - 1), from = line * across + first * step + channel;
        for (const weight of kept) {
          sum += data[from] * weight;
          from += step;
        }
        made.data[line * madeAcross + place * madeStep + channel] = bounded(sum >> BITS);
      }
    }
  });
  return made;
}

// Colours weighted by their opacity, so that what is transparent does not bleed into what is resized.
function premultiplied({ width, height, data }) {
  const made = new Uint8ClampedArray(data);
  for (let i = 0; i < data.length; i++) {
    const product = data[i] * data[i | 3] + 128;
    if ((i & 3) < 3) made[i] = ((product >> 8) + product) >> 8;
  }
  return { width, height, data: made };
}

function straight({ width, height, data }) {
  const made = new Uint8ClampedArray(data);
  for (let i = 0; i < data.length; i++) {
    const opacity = data[i | 3];
    if ((i & 3) < 3 && opacity && opacity < 255) made[i] = bounded(Math.trunc((255 * data[i]) / opacity));
  }
  return { width, height, data: made };
}

// The median of each channel over the outermost rows and columns, whose corners count twice.
function border({ width, height, data }) {
  const places = [];
  for (let x = 0; x < width; x++) places.push(x, (height - 1) * width + x);
  for (let y = 0; y < height; y++) places.push(y * width, y * width + width - 1);
  return [0, 1, 2, 3].map((channel) => rounded(median(places.map((place) => data[4 * place + channel]))));
}

function padded(picture, width, height, colour) {
  if (picture.width === width && picture.height === height) return picture;
  const data = new Uint8ClampedArray(4 * width * height);
  for (let i = 0; i < data.length; i++) data[i] = colour[i & 3];
  const left = Math.floor((width - picture.width) / 2), top = Math.floor((height - picture.height) / 2);
  for (let y = 0; y < picture.height; y++) {
    const row = picture.data.subarray(4 * y * picture.width, 4 * (y + 1) * picture.width);
    data.set(row, 4 * ((top + y) * width + left));
  }
  return { width, height, data };
}

// Pad a picture with its border's median colour to the wanted proportions, then resize it; `decoding.fit` in Python.
export function fit(picture, height, width) {
  if (picture.width === width && picture.height === height) return picture;
  const scale = Math.max(picture.height / height, picture.width / width);
  const frameWidth = Math.max(picture.width, rounded(width * scale));
  const frameHeight = Math.max(picture.height, rounded(height * scale));
  const framed = padded(picture, frameWidth, frameHeight, border(picture));
  if (frameWidth === width && frameHeight === height) return framed;
  const filter = scale <= 1 ? BILINEAR : BOX;
  return straight(along(along(premultiplied(framed), width, filter, true), height, filter, false));
}

const luminance = (red, green, blue) => Math.floor((299 * red + 587 * green + 114 * blue + 500) / 1000);

function composited({ data }, ground) {
  const over = (level, opacity) => Math.floor((level * opacity + ground * (255 - opacity) + 127) / 255);
  return data.map((level, i) => ((i & 3) < 3 ? over(level, data[i | 3]) : 255));
}

function contrast(data) {
  const spans = [0, 1, 2].map((channel) => {
    const found = data.filter((_, i) => (i & 3) === channel);
    return Math.max(...found) - Math.min(...found);
  });
  return Math.max(...spans);
}

// Composite the transparent pictures of a set over one ground: black if what they show is light, else white; `flatten`.
function flattened(pictures) {
  const transparent = pictures.filter(({ data }) => data.some((level, i) => (i & 3) === 3 && level !== 255));
  let opacity = 0, light = 0;
  for (const { data } of transparent) {
    for (let i = 0; i < data.length; i += 4) {
      opacity += data[i + 3];
      light += luminance(data[i], data[i + 1], data[i + 2]) * data[i + 3];
    }
  }
  const ground = light / Math.max(opacity, 1) > 127.5 ? 0 : 255;
  return pictures.map((picture) => {
    if (!transparent.includes(picture)) return picture.data;
    const over = composited(picture, ground), instead = composited(picture, 255 - ground);
    const blank = contrast(over) < FAINT && contrast(instead) > contrast(over) + CLEAR;
    return blank ? instead : over;
  });
}

function grey(data) {
  const level = (_, i) => luminance(data[4 * i], data[4 * i + 1], data[4 * i + 2]);
  return Uint8Array.from({ length: data.length / 4 }, level);
}

// 1 for light strokes on a dark ground, -1 for dark ones on a light ground, 0 if it is not clear; `pixels.votes`.
function vote(levels, height, width) {
  const edge = levels.filter((_, i) => {
    const x = i % width, y = Math.floor(i / width);
    return x === 0 || y === 0 || x === width - 1 || y === height - 1;
  });
  return Math.sign((Math.min(...levels) + Math.max(...levels)) / 2 - median(edge));
}

// Whether to invert, and the line that explains it, as `meta-gan adapt` has it.
function decided(pictures, height, width, polarity) {
  const votes = pictures.map((levels) => vote(levels, height, width));
  const light = votes.filter((each) => each > 0).length, dark = votes.filter((each) => each < 0).length;
  if (light === dark) {
    return [false, `no clear polarity (${light} light-on-dark, ${dark} dark-on-light): not inverted`];
  }
  const theirs = dark > light ? "dark-on-light" : "light-on-dark";
  const found = `${Math.max(light, dark)} of ${pictures.length} images are ${theirs}`;
  if (theirs === polarity) return [false, `${found}, like the model's data: not inverted`];
  return [true, `${found}, the model's data are ${polarity}: inverted`];
}

function isColoured(data) {
  for (let i = 0; i < data.length; i += 4) {
    const channels = [data[i], data[i + 1], data[i + 2]];
    if (Math.max(...channels) - Math.min(...channels) > FAINT) return true;
  }
  return false;
}

// Read pictures of any size as `meta-gan adapt --support` reads files. Returns `levels`, a Uint8Array for each picture,
// and `note`: whether colours were lost, and what was decided about inversion. `invert` is "auto", "yes" or "no".
export function support(pictures, { height, width, polarity }, invert) {
  const colours = flattened(pictures.map((picture) => fit(picture, height, width))), read = colours.map(grey);
  const lost = colours.some(isColoured) ? "the model's images are grey: colours were converted to grey" : null;
  const [swapped, why] = invert === "auto" ? decided(read, height, width, polarity) : [invert === "yes", null];
  const note = [lost, why].filter(Boolean).join("; ") || null;
  return { levels: swapped ? read.map((each) => each.map((level) => 255 - level)) : read, note };
}

// Levels as floats in [-1, 1].
export function floats(pictures) {
  const size = pictures[0].length, made = new Float32Array(pictures.length * size);
  pictures.forEach((levels, index) => levels.forEach((level, i) => { made[index * size + i] = level / 127.5 - 1; }));
  return made;
}

// Floats in [-1, 1] as levels, `size` of them a picture.
export function levels(values, size) {
  const made = Uint8Array.from(values, (value) => rounded((Math.min(1, Math.max(-1, value)) + 1) * 127.5));
  return Array.from({ length: made.length / size }, (_, index) => made.subarray(index * size, (index + 1) * size));
}

// The index of the support picture with the least squared difference from each sample.
export function nearest(samples, given, size) {
  const distance = (sample, other) => {
    let sum = 0;
    for (let i = 0; i < size; i++) sum += (samples[sample * size + i] - given[other * size + i]) ** 2;
    return sum;
  };
  return Array.from({ length: samples.length / size }, (_, sample) => {
    const distances = Array.from({ length: given.length / size }, (_, other) => distance(sample, other));
    return distances.indexOf(Math.min(...distances));
  });
}

// Pictures of grey levels as one, ten in a row, with grey gaps of two pixels, as `meta_gan.tasks.pictures.grid`.
export function grid(pictures, height, width, columns = 10, gap = 2, ground = 96) {
  const across = Math.min(columns, pictures.length), down = Math.ceil(pictures.length / columns);
  const made = { width: across * (width + gap) - gap, height: down * (height + gap) - gap };
  made.levels = new Uint8Array(made.width * made.height).fill(ground);
  pictures.forEach((picture, index) => {
    const left = (index % columns) * (width + gap), top = Math.floor(index / columns) * (height + gap);
    for (let y = 0; y < height; y++) {
      made.levels.set(picture.subarray(y * width, (y + 1) * width), (top + y) * made.width + left);
    }
  });
  return made;
}
