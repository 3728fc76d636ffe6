"""Keras's part in the race, on TensorFlow with XLA (jit_compile)."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import numpy as np
import tensorflow as tf

from protocol import Content, inputs_of, kind_of, serve

configured = []  # threads can be set once


def prepare(work):
    if work["precision"]:
        raise ValueError(f"precision {work['precision']} is not for Keras here")
    if not configured:
        tf.config.threading.set_intra_op_parallelism_threads(work["threads"])
        tf.config.threading.set_inter_op_parallelism_threads(1)
        configured.append(work["threads"])
    content = Content(work)
    x = np.array(content.x, np.float32).reshape([work["rows"]] + work["input"])
    y = np.array(content.y, np.int32)
    size = work["batch"]
    batches = [
        (tf.constant(x[i : i + size]), tf.constant(y[i : i + size]))
        for i in range(0, len(y), size)
    ]
    model = build(work)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    first = float(loss(batches[0][1], model(batches[0][0], training=False)))
    steps = {}
    for mode, jit in (("jit_compile", True), ("graph", False)):
        try:
            step = stepper(work, build(work), loss, batches, jit)
            for _ in range(3):
                step()
            steps[mode] = step
        except Exception:
            pass  # where it works
    if not steps:
        raise RuntimeError("neither with XLA nor without")
    return steps, first


def build(work):
    """Returns the model of a work, without the softmax at the end."""
    content, L = Content(work), keras.layers
    start = keras.Input(work["input"], batch_size=work["batch"])
    values = []
    for layer, inputs in zip(work["layers"], inputs_of(work["layers"])):
        kind, p = kind_of(layer)
        args = [start if i < 0 else values[i] for i in inputs]
        act = "relu" if p.get("activation") == "relu" else None
        if kind == "dense":
            made = L.Dense(p["units"], activation=act)
        elif kind == "conv2d":
            made = L.Conv2D(
                p["filters"], p["kernel_size"], p.get("strides", 1), p.get("padding", "valid"),
                activation=act, use_bias=p.get("use_bias", True),
            )
        else:
            made = {
                "batch_normalization": lambda: L.BatchNormalization(momentum=p["momentum"]),
                "max_pooling2d": L.MaxPooling2D,
                "dropout": lambda: L.Dropout(p["rate"]),
                "flatten": L.Flatten,
                "global_average_pooling2d": L.GlobalAveragePooling2D,
                "activation": lambda: L.Activation("relu"),
                "add": L.Add,
            }[kind]()
        out = made(args if kind == "add" else args[0])
        weights = made.get_weights()
        trained = len(made.trainable_weights)
        weights[:trained] = [
            np.array(content.take(w.size), np.float32).reshape(w.shape) for w in weights[:trained]
        ]
        made.set_weights(weights)
        values.append(out)
    return keras.Model(start, values[-1])


def stepper(work, model, loss, batches, jit):
    at = 0
    if not work["optimizer"]:
        run = tf.function(lambda x: tf.nn.softmax(model(x, training=False)), jit_compile=jit)
        return lambda: run(batches[0][0]).numpy()

    optimizer = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}[work["optimizer"]](0.001)
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=jit)
    def train(x, y):
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        grads = tape.gradient(value, model.trainable_variables)
        optimizer.apply(grads, model.trainable_variables)
        return value

    def step():
        nonlocal at
        x, y = batches[at % len(batches)]
        at += 1
        train(x, y).numpy()  # waits for the step

    return step


serve(f"Keras {keras.__version__} on TensorFlow {tf.__version__}", prepare)
