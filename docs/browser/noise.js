// The noise z of samples, from a seed. The numbers are not those of Python, whose generators TensorFlow has.

// Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021: xoshiro128**, as functions to uint32.
export function bits(state) {
  const s = Uint32Array.from(state), turned = (x, by) => (x << by) | (x >>> (32 - by));
  return () => {
    const made = Math.imul(turned(Math.imul(s[1], 5), 7), 9) >>> 0, kept = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= kept;
    s[3] = turned(s[3], 11);
    return made;
  };
}

// Four numbers of the state from one seed, which the next seed shares nothing with: splitmix, with a mixer of 32 bits.
export function stateOf(seed) {
  return [1, 2, 3, 4].map((place) => {
    let mixed = (seed + Math.imul(place, 0x9e3779b9)) | 0;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  });
}

// Standard normal numbers, row by row, so that row i does not depend on `count`. Box and Muller, two at a time.
export function normal(seed, count, size) {
  const draw = bits(stateOf(seed)), made = new Float32Array(count * size);
  for (let i = 0; i < made.length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log((draw() + 1) / 2 ** 32)), angle = (2 * Math.PI * draw()) / 2 ** 32;
    made[i] = radius * Math.cos(angle);
    if (i + 1 < made.length) made[i + 1] = radius * Math.sin(angle);
  }
  return made;
}

// The noise of a seed, moved by `share` in [0, 1] along an arc towards that of the next seed. The first `kept` numbers
// of a row stay: they choose support pictures.
export function walked(seed, count, size, kept, share) {
  const first = normal(seed, count, size), second = normal(seed + 1, count, size), angle = (Math.PI / 2) * share;
  const moved = (value, i) => (i % size < kept ? value : Math.cos(angle) * value + Math.sin(angle) * second[i]);
  return share ? first.map(moved) : first;
}
