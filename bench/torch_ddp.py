"""PyTorch's DistributedDataParallel on gloo: two processes, one thread each, on one machine.

The work's batch is that of each process. The first process speaks the protocol of
serve.go, and tells the second by its standard input what to do.
"""

import json
import os
import socket
import subprocess
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from protocol import Content, serve
from torch_step import Model

RANKS = 2


def join(rank, port):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=RANKS)


def build(work, rank):
    torch.manual_seed(1)
    content = Content(work)
    x = torch.tensor(content.x).reshape([work["rows"]] + work["input"])
    y = torch.tensor(content.y, dtype=torch.int64)
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    size = work["batch"]
    batches = [(x[i : i + size], y[i : i + size]) for i in range(0, len(y), size)]
    model = Model(work)
    with torch.inference_mode():
        loss = F.cross_entropy(model.eval()(batches[0][0]), batches[0][1]).item()
    model.train()
    if x.ndim == 4:
        model = model.to(memory_format=torch.channels_last)
    model = DistributedDataParallel(model, gradient_as_bucket_view=True)
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[work["optimizer"]]
    optimizer = kind(model.parameters(), lr=0.001, fused=True)
    at = rank

    def step():
        nonlocal at
        x, y = batches[at % len(batches)]
        at += RANKS
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step, loss


def follow(port):
    join(1, port)
    step = None
    for line in sys.stdin:
        if line == "step\n":
            step()
        else:
            step, _ = build(json.loads(line), 1)
    dist.destroy_process_group()


def lead():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    other = subprocess.Popen(
        [sys.executable, __file__, str(port)], stdin=subprocess.PIPE, text=True, bufsize=1
    )
    join(0, port)

    def prepare(work):
        other.stdin.write(json.dumps(work) + "\n")
        step, loss = build(work, 0)

        def both():
            other.stdin.write("step\n")
            step()

        return {"gloo": both}, loss

    serve(f"PyTorch {torch.__version__} DDP", prepare)
    other.stdin.close()
    other.wait()


if len(sys.argv) > 1:
    follow(int(sys.argv[1]))
else:
    lead()
