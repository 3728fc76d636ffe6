# Times the workloads of card_bench_test.go with PyTorch, eager and compiled, with
# the data on the device. Prints a JSON object per line: milliseconds of a training
# step, or TFLOP/s of a product; the names are those in card_bench_test.go.
import json
import statistics
import sys
import time

import torch
from torch import nn


def mlp(*sizes):
    layers = [nn.Flatten()]
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        layers += [nn.Linear(a, b)] + ([nn.ReLU()] if i < len(sizes) - 2 else [])
    return nn.Sequential(*layers)


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))


def sgd(params, compiled):
    return torch.optim.SGD(params, lr=0.01)


def adam(params, compiled):
    return torch.optim.Adam(params, lr=0.001, fused=True)


WORK = [
    ("mlp-512 sgd 128", 128, lambda: mlp(784, 512, 512, 10), sgd),
    ("mlp-512 adam 128", 128, lambda: mlp(784, 512, 512, 10), adam),
    ("mlp-2000 adam 128", 128, lambda: mlp(784, 1000, 2000, 1000, 10), adam),
    ("cnn adam 128", 128, cnn, adam),
    ("cnn adam 1024", 1024, cnn, adam),
]
ROWS = 60000


def step_ms(batch, build, optimizer, precision, compiled):
    torch.manual_seed(1)
    model = build().cuda()
    opt = optimizer(model.parameters(), compiled)
    x = torch.rand(ROWS, 1, 28, 28, device="cuda")
    y = torch.randint(0, 10, (ROWS,), device="cuda")
    loss_of = nn.CrossEntropyLoss()

    def loss(a, b):
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
            return loss_of(model(a), b)

    if compiled:
        loss = torch.compile(loss, mode="reduce-overhead")
    order = torch.randperm(ROWS, device="cuda")

    def step(i):
        rows = order[i * batch:(i + 1) * batch]
        opt.zero_grad(set_to_none=True)
        loss(x[rows], y[rows]).backward()
        opt.step()

    steps = ROWS // batch
    took = []
    for r in range(6):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for i in range(steps):
            step(i)
        torch.cuda.synchronize()
        if r > 0:
            took.append(1000 * (time.perf_counter() - begin) / steps)
    return statistics.median(took)


def matmul_tflops(n, precision):
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = torch.randn(n, n, device="cuda", dtype=dtype), torch.randn(n, n, device="cuda", dtype=dtype)
    took = []
    for r in range(9):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(10):
            a @ b
        torch.cuda.synchronize()
        if r > 1:
            took.append((time.perf_counter() - begin) / 10)
    return 2e-12 * n**3 / statistics.median(took)


def say(**what):
    print(json.dumps(what), flush=True)


say(version=torch.__version__)
for precision in sys.argv[1].split(","):
    torch.set_float32_matmul_precision("highest" if precision == "fp32" else "high")
    torch.backends.cudnn.allow_tf32 = precision != "fp32"
    for name, batch, build, optimizer in WORK:
        result = {"name": f"{name} {precision}"}
        for key, compiled in [("eager", False), ("compiled", True)]:
            try:
                torch._dynamo.reset()
                result[key] = step_ms(batch, build, optimizer, precision, compiled)
            except Exception as e:  # such as no compiler for torch.compile
                result.setdefault("errors", {})[key] = str(e)[:200]
        say(**result)
    for n in [4096, 8192]:
        say(name=f"matmul {n} {precision}", eager=matmul_tflops(n, precision))
