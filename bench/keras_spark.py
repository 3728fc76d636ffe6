"""Keras on Spark, for docs/spark.md: the model of configs/mnist-mlp.yaml, one epoch.

    spark-submit bench/keras_spark.py DIR [alone]   # DIR has MNIST's four .gz files, at the same path on all machines

alone: one task trains on all rows. Otherwise two tasks train on half of the rows each, and the
weights are averaged, as elephas does with mode="synchronous". Prints seconds as JSON: of training
in the tasks, of the job that they are, and in all since this script began. Start-up of spark-submit comes on top.
"""
import gzip
import json
import sys
import time

began = time.time()


def mnist(folder, part):
    import numpy as np

    with gzip.open(f"{folder}/{part}-images-idx3-ubyte.gz") as f:
        x = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 784).astype(np.float32) / 255
    with gzip.open(f"{folder}/{part}-labels-idx1-ubyte.gz") as f:
        return x, np.frombuffer(f.read(), np.uint8, offset=8).astype(np.int32)


def network():
    import keras

    model = keras.Sequential([
        keras.Input((784,)), keras.layers.Dense(512, activation="relu"), keras.layers.Dense(512, activation="relu"),
        keras.layers.Dense(10, activation="softmax")])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(rank, folder, tasks):
    x, y = mnist(folder, "train")
    model = network()
    start = time.time()
    model.fit(x[rank::tasks], y[rank::tasks], batch_size=128, epochs=1, verbose=0)
    return time.time() - start, model.get_weights()


def main():
    folder, tasks = sys.argv[1], 1 if "alone" in sys.argv else 2
    from pyspark.sql import SparkSession

    sc = SparkSession.builder.appName("keras").getOrCreate().sparkContext
    start = time.time()
    results = sc.parallelize(range(tasks), tasks).map(lambda rank: train(rank, folder, tasks)).collect()
    job = time.time() - start
    model = network()
    model.set_weights([sum(w) / tasks for w in zip(*[weights for _, weights in results])])
    x, y = mnist(folder, "t10k")
    accuracy = model.evaluate(x, y, batch_size=1000, verbose=0)[1]
    sc.stop()
    print(json.dumps({"tasks": tasks, "training": max(t for t, _ in results), "job": job,
                      "all": time.time() - began, "accuracy": accuracy}))


main()
