"""Records the losses of PyTorch on the configs of this repository.

    go test ./internal/train -run TestTorch -record DIR
    python3 losses.py DIR

The first command writes the initial weights, the rows of each batch and the
seeds of the dropout layers; this script trains the same models from them, with
float32 arithmetic on the CPU, and writes NAME.json beside itself: the loss of
every step, how far the losses move when the initial weights are off by their
last bits (the largest relative change so far, over eight trials), and the
versions used. Nothing of Gespann is executed here: the
models, Adam in Keras's form, and the counter-based dropout mask are written
down once more.
"""

import gzip
import json
import pathlib
import sys

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
U32 = np.uint32
U64 = (1 << 64) - 1


def mix(x):
    """The 32-bit hash of ir.Keep, on arrays."""
    x = x ^ (x >> U32(16))
    x = x * U32(0x21F0AAAD)
    x = x ^ (x >> U32(15))
    x = x * U32(0x735A2D97)
    return x ^ (x >> U32(15))


def keep(seed, tick, rate, size):
    z = (seed + (tick + 1) * 0x9E3779B97F4A7C15) & U64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & U64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & U64
    z ^= z >> 31
    index = np.arange(size, dtype=U32)
    hashed = mix(mix(index ^ U32(z & 0xFFFFFFFF)) + U32(z >> 32))
    return hashed >= U32(int(rate * 2**32))


def dropout(x, layer, tick):
    """Drops elements of x, whose memory order is Gespann's."""
    mask = keep(layer["seed"], tick, layer["rate"], x.numel()).reshape(x.shape)
    return x * torch.from_numpy(mask) / (1 - layer["rate"])


def mlp(w, x, drops, tick):
    h = x.reshape(len(x), -1)
    h = F.relu(h @ w["dense.kernel"] + w["dense.bias"])
    h = F.relu(h @ w["dense_1.kernel"] + w["dense_1.bias"])
    return h @ w["dense_2.kernel"] + w["dense_2.bias"]


def conv(w, name, h):
    kernel = w[name + ".kernel"].permute(3, 2, 0, 1)  # HWIO -> OIHW
    return F.relu(F.conv2d(h, kernel, w[name + ".bias"]))


def cnn(w, x, drops, tick):
    h = x.permute(0, 3, 1, 2)
    h = conv(w, "conv2d", h)
    h = conv(w, "conv2d_1", h)
    h = F.max_pool2d(h, 2).permute(0, 2, 3, 1).contiguous()
    h = dropout(h, drops[0], tick).reshape(len(x), -1)
    h = F.relu(h @ w["dense.kernel"] + w["dense.bias"])
    h = dropout(h, drops[1], tick)
    return h @ w["dense_1.kernel"] + w["dense_1.bias"]


def images(path):
    raw = gzip.open(path).read()
    dims = np.frombuffer(raw, ">i4", 3, 4)
    pixels = np.frombuffer(raw, np.uint8, offset=16).reshape(*dims, 1)
    return torch.from_numpy(pixels.astype(np.float32) * np.float32(1 / 255))


def labels(path):
    raw = gzip.open(path).read()
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=8).astype(np.int64))


def train(weights, job, net, x, y):
    """Returns the loss of every step."""
    weights = {k: v.clone().requires_grad_() for k, v in weights.items()}
    adam = torch.optim.Adam(weights.values(), betas=(0.9, 0.999), foreach=False)
    losses = []
    for step, rows in enumerate(job["batches"]):
        logits = net(weights, x[rows], job["dropout"] or [], step)
        loss = F.cross_entropy(logits, y[rows])
        adam.zero_grad()
        loss.backward()
        group = adam.param_groups[0]
        group["lr"] = job["rates"][step]
        # Keras adds epsilon before the bias correction of the second moment.
        group["eps"] = 1e-7 / (1 - 0.999 ** (step + 1)) ** 0.5
        adam.step()
        losses.append(loss.item())
    return np.array(losses)


def nudged(weights, seed):
    """Moves every weight by up to four units in the last place."""
    rng = torch.Generator().manual_seed(seed)
    return {
        k: v * (1 + (torch.rand(v.shape, generator=rng) * 2 - 1) * 2**-22)
        for k, v in weights.items()
    }


def record(folder, name, net):
    job = json.loads((folder / f"{name}.json").read_text())
    weights = safetensors.torch.load_file(folder / f"{name}.safetensors")
    x = images(HERE / "mnist" / "train-images-idx3-ubyte.gz")
    y = labels(HERE / "mnist" / "train-labels-idx1-ubyte.gz")
    losses = train(weights, job, net, x, y)
    others = [train(nudged(weights, seed), job, net, x, y) for seed in range(8)]
    spread = np.max([np.abs(other / losses - 1) for other in others], axis=0)
    out = {
        "made_by": "losses.py",
        "torch": torch.__version__,
        "numpy": np.__version__,
        "losses": [float("%.9g" % v) for v in losses],
        "spread": [float("%.2g" % v) for v in np.maximum.accumulate(spread)],
    }
    (HERE / f"{name}.json").write_text(json.dumps(out, indent=1) + "\n")
    print(name, losses[0], "...", losses[-1], "spread", out["spread"][-1])


if __name__ == "__main__":
    np.seterr(over="ignore")
    record(pathlib.Path(sys.argv[1]), "mnist-mlp", mlp)
    record(pathlib.Path(sys.argv[1]), "mnist-cnn", cnn)
