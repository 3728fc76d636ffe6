"""What configs/mnist-mlp.yaml does, as a plain PyTorch script: read MNIST, train, test, save.

    python bench/torch_train.py DATA EPOCHS THREADS OUT
"""

import gzip
import math
import os
import sys

import numpy
import torch
import torch.nn.functional as F
from torch import nn

data, epochs, threads, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(threads)
torch.manual_seed(1)


def read(name, header):
    with gzip.open(os.path.join(data, name + ".gz"), "rb") as f:
        return numpy.frombuffer(f.read(), numpy.uint8, offset=header)


def load(part):
    x = torch.from_numpy(read(part + "-images-idx3-ubyte", 16).reshape(-1, 784).copy())
    y = torch.from_numpy(read(part + "-labels-idx1-ubyte", 8).astype(numpy.int64))
    return x.float().div_(255), y


x, y = load("train")
model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
for layer in model:
    if isinstance(layer, nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
batch = 128
steps = math.ceil(len(x) / batch) * epochs
optimizer = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7, fused=True)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
for epoch in range(epochs):
    total = 0.0
    for rows in torch.randperm(len(x)).split(batch):
        loss = F.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.detach() * len(rows)
    print(f"epoch {epoch + 1}  loss {total / len(x):.4f}", flush=True)
x, y = load("t10k")
with torch.no_grad():
    right = sum((model(a).argmax(1) == b).sum().item() for a, b in zip(x.split(1000), y.split(1000)))
print(f"test accuracy {right / len(x):.4f}")
torch.save(model.state_dict(), out)
