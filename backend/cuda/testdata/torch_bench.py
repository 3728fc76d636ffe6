# Times the workloads of card_steps_test.go with PyTorch, eager and compiled, with
# the data on the device. Prints a JSON object per line: milliseconds of a training
# step, or TFLOP/s of a product, medians by CUDA events; the names are those of the
# Go side.
#
#   python3 - PRECISIONS SECONDS [small] < torch_bench.py
import json
import statistics
import sys
import time

import torch
from torch import nn

began = time.monotonic()
precisions, seconds = sys.argv[1].split(","), float(sys.argv[2])
small = len(sys.argv) > 3
ROWS = 60000
ROUNDS = 5


def mlp(*sizes):
    layers = [nn.Flatten()]
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        layers += [nn.Linear(a, b)] + ([nn.ReLU()] if i < len(sizes) - 2 else [])
    return nn.Sequential(*layers)


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))


def sgd(params):
    return torch.optim.SGD(params, lr=0.01, fused=True)


def adam(params):
    return torch.optim.Adam(params, lr=0.001, fused=True)


# In the order of what one wants to know most.
WORK = [
    ("mlp-512 adam 128", 128, lambda: mlp(784, 512, 512, 10), adam),
    ("cnn adam 128", 128, cnn, adam),
    ("cnn adam 1024", 1024, cnn, adam),
    ("mlp-512 sgd 128", 128, lambda: mlp(784, 512, 512, 10), sgd),
    ("mlp-2000 adam 128", 128, lambda: mlp(784, 1000, 2000, 1000, 10), adam),
]


def median_ms(f):
    """The median of ROUNDS times after one."""
    took = []
    for r in range(ROUNDS + 1):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        f()
        end.record()
        end.synchronize()
        if r > 0:
            took.append(begin.elapsed_time(end))
    return statistics.median(took)


def step_ms(batch, build, optimizer, precision, compiled):
    torch.manual_seed(1)
    model = build().cuda()
    opt = optimizer(model.parameters())
    x = torch.rand(ROWS, 1, 28, 28, device="cuda")
    y = torch.randint(0, 10, (ROWS,), device="cuda")
    loss_of = nn.CrossEntropyLoss()

    def loss(a, b):
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
            return loss_of(model(a), b)

    if compiled:
        loss = torch.compile(loss, mode="reduce-overhead")
    order = torch.randperm(ROWS, device="cuda")
    steps = 3 if small else min(ROWS // batch, 200)

    def span():
        for i in range(steps):
            rows = order[i * batch:(i + 1) * batch]
            opt.zero_grad(set_to_none=True)
            loss(x[rows], y[rows]).backward()
            opt.step()

    return median_ms(span) / steps


def matmul_tflops(n, precision):
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = torch.randn(n, n, device="cuda", dtype=dtype), torch.randn(n, n, device="cuda", dtype=dtype)

    def products():
        for _ in range(10):
            a @ b

    return 2e-12 * n**3 / (median_ms(products) / 1e4)


def say(**what):
    print(json.dumps(what), flush=True)


def mode(precision):
    torch.set_float32_matmul_precision("highest" if precision == "fp32" else "high")
    torch.backends.cudnn.allow_tf32 = precision != "fp32"


say(version=torch.__version__)
for precision in precisions:
    mode(precision)
    for n in [64] if small else [4096, 8192]:
        say(name=f"matmul {n} {precision}", eager=matmul_tflops(n, precision))
for compiled in [False, True]:
    for precision in precisions:
        mode(precision)
        for name, batch, build, optimizer in WORK:
            if time.monotonic() - began > seconds - 40:
                sys.exit(0)  # another might not end in time, and these are whole
            key = "compiled" if compiled else "eager"
            result = {"name": f"{name} {precision}"}
            try:
                torch._dynamo.reset()
                result[key] = step_ms(batch, build, optimizer, precision, compiled)
            except Exception as e:  # such as no compiler for torch.compile
                result["errors"] = {key: str(e)[:200]}
            say(**result)
