"""An adapted generator in a Keras application: as a layer, as a source of training data, fine-tuned, and as ONNX.

`python examples/keras_app.py --model omniglot --support five.npy --out app` writes `samples.npy`, a classifier trained
on real and generated drawings, `fine_tuned.keras`, and with `--onnx` also `generator.onnx` (which needs the extra
`onnx`), and prints a line about each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import meta_gan as mg


def as_a_layer(generator: keras.Model, latent_dim: int) -> keras.Model:
    """Return a functional model from latents to drawings of twice the size, with the generator as a layer."""
    z = keras.Input((latent_dim,))
    images = generator(z)
    return keras.Model(z, keras.layers.UpSampling2D(2, interpolation="nearest")(images))


def training_data(generator: keras.Model, latent_dim: int, real: np.ndarray, batch: int, seed: int) -> tf.data.Dataset:
    """Return endless batches `(images, labels)`: drawings, half of them generated, labelled 1, and noise labelled 0."""

    def made(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        key = tf.stack([tf.cast(number, tf.int32), seed])
        z = tf.random.stateless_normal([batch, latent_dim], key)
        chosen = tf.random.stateless_uniform([batch], key + 1, 0, len(real), tf.int32)
        noise = tf.random.stateless_uniform([2 * batch, *real.shape[1:]], key + 2, -1.0, 1.0)
        images = tf.concat([tf.gather(tf.constant(real), chosen), generator(z), noise], axis=0)
        return images, tf.concat([tf.ones([2 * batch]), tf.zeros([2 * batch])], axis=0)

    return tf.data.Dataset.counter().map(made).prefetch(2)


def fine_tuned(generator: keras.Model, latent_dim: int, target: np.ndarray, steps: int) -> tuple[float, float]:
    """Train the generator further towards the target's mean drawing, and return its distance before and after."""
    mean, z = target.mean(axis=0, keepdims=True), np.random.default_rng(0).normal(size=(16, latent_dim))
    wanted = np.repeat(mean, len(z), axis=0)
    generator.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse")
    before = float(generator.evaluate(z, wanted, verbose=0))
    generator.fit(z, wanted, epochs=steps, batch_size=len(z), verbose=0)
    return before, float(generator.evaluate(z, wanted, verbose=0))


def by_onnx(adapted: mg.AdaptedModel, z: np.ndarray, file: Path) -> np.ndarray:
    """Return the output of ONNX Runtime for the same latents."""
    import onnxruntime

    adapted.export(file, format="onnx")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return session.run(None, {given.name: z})[0]


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="omniglot", help="run folder, saved model or shipped name (omniglot)")
    parser.add_argument("--support", required=True, help=".npy of float32[k, H, W, C] in [-1, 1]")
    parser.add_argument("--out", required=True, help="folder to create")
    parser.add_argument("--onnx", action="store_true", help="also convert to ONNX and run that")
    arguments = parser.parse_args()
    out, support = Path(arguments.out), np.load(arguments.support)
    out.mkdir(parents=True)
    adapted = mg.load(arguments.model).adapt(support, seed=0)
    generator, latent_dim = adapted.generator, adapted.adaptation.game.latent_dim
    z = np.random.default_rng(1).normal(size=(4, latent_dim)).astype(np.float32)
    np.save(out / "samples.npy", generator(z))
    print("as a layer:", as_a_layer(generator, latent_dim)(z).shape)

    keras.utils.set_random_seed(0)  # of the classifier's first weights
    classifier = keras.Sequential([keras.Input(support.shape[1:]), keras.layers.Flatten(), keras.layers.Dense(1)])
    classifier.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True), metrics=["accuracy"])
    data = training_data(generator, latent_dim, support, batch=8, seed=0)
    history = classifier.fit(data, steps_per_epoch=50, epochs=4, verbose=0).history
    classifier.save(out / "classifier.keras")
    print(f"as training data: accuracy {history['accuracy'][-1]:.2f}")

    if arguments.onnx:
        furthest = np.abs(by_onnx(adapted, z, out / "generator.onnx") - np.asarray(generator(z))).max()
        print(f"by ONNX Runtime: at most {furthest:.1e} from Keras")
    before, after = fine_tuned(generator, latent_dim, support, steps=20)
    generator.save(out / "fine_tuned.keras")
    print(f"trained on: {before:.3f} to {after:.3f}")


if __name__ == "__main__":
    main()
