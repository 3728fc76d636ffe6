"""PyTorch's part in the race: eager, channels_last for images, and torch.compile.

NO_COMPILE=1 leaves torch.compile out.
"""

import os

import torch
import torch.nn.functional as F
from torch import nn

from protocol import Content, inputs_of, kind_of, serve


class Flatten(nn.Module):
    def forward(self, x):
        return x.flatten(1)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


class SamePadding(nn.Module):
    """What TensorFlow calls same: with strides, the odd zero is at the right and bottom."""

    def __init__(self, size, stride):
        super().__init__()
        self.size, self.stride = size, stride

    def forward(self, x):
        pad = []
        for dim in (x.shape[3], x.shape[2]):
            out = -(-dim // self.stride)
            all = max((out - 1) * self.stride + self.size - dim, 0)
            pad += [all // 2, all - all // 2]
        return F.pad(x, pad)


class Model(nn.Module):
    """The layers of a work, without the softmax at the end."""

    def __init__(self, work):
        super().__init__()
        self.inputs = inputs_of(work["layers"])
        content, shape = Content(work), list(work["input"])
        if len(shape) == 3:
            shape = [shape[2], shape[0], shape[1]]  # channels first
        shapes, self.parts = [], nn.ModuleList()
        image = None  # shape before the last flatten: our rows are channels last
        for layer, inputs in zip(work["layers"], self.inputs):
            kind, p = kind_of(layer)
            shape = list(work_shape(work, shapes, inputs[0]))
            if kind == "flatten":
                image = shape
            module, shape = make(kind, p, shape, content, image)
            if kind == "dense":
                image = None
            self.parts.append(module)
            shapes.append(shape)
        # A chain of layers need not keep what they returned.
        self.chain = all(i == [k - 1] for k, i in enumerate(self.inputs))

    def forward(self, x):
        if self.chain:
            for part in self.parts:
                x = part(x)
            return x
        values = []
        for part, inputs in zip(self.parts, self.inputs):
            args = [x if i < 0 else values[i] for i in inputs]
            values.append(args[0] + args[1] if isinstance(part, Add) else part(args[0]))
        return values[-1]


class Add(nn.Module):
    pass


def work_shape(work, shapes, i):
    if i >= 0:
        return shapes[i]
    s = work["input"]
    return [s[2], s[0], s[1]] if len(s) == 3 else s


def make(kind, p, shape, content, image):
    """Returns the module of a layer for an input row of this shape, and its output's."""
    relu = p.get("activation") == "relu"
    if kind == "dense":
        size = 1
        for dim in shape:
            size *= dim
        units = p["units"]
        w = values(content, size, units)
        if image and len(image) == 3:  # rows of w are [H,W,C], ours here [C,H,W]
            c, h, v = image
            w = w.reshape(h, v, c, units).permute(2, 0, 1, 3).reshape(size, units)
        m = nn.Linear(size, units)
        m.weight.data.copy_(w.t())
        m.bias.data.copy_(values(content, units))
        return (nn.Sequential(m, nn.ReLU()) if relu else m), [units]
    if kind == "conv2d":
        c, h, w = shape
        o, k, stride = p["filters"], p["kernel_size"], p.get("strides", 1)
        same = p.get("padding") == "same"
        symmetric = same and stride == 1
        pad = k // 2 if symmetric else 0
        m = nn.Conv2d(c, o, k, stride, pad, bias=p.get("use_bias", True))
        m.weight.data.copy_(values(content, k, k, c, o).permute(3, 2, 0, 1))
        if m.bias is not None:
            m.bias.data.copy_(values(content, o))
        out = [o] + [-(-d // stride) if same else (d - k) // stride + 1 for d in (h, w)]
        parts = [m]
        if same and not symmetric and k > 1:
            parts.insert(0, SamePadding(k, stride))
        if relu:
            parts.append(nn.ReLU())
        return (nn.Sequential(*parts) if len(parts) > 1 else m), out
    if kind == "batch_normalization":
        m = nn.BatchNorm2d(shape[0], eps=1e-3, momentum=1 - p["momentum"])
        m.weight.data.copy_(values(content, shape[0]))
        m.bias.data.copy_(values(content, shape[0]))
        return m, shape
    if kind == "max_pooling2d":
        return nn.MaxPool2d(2), [shape[0], shape[1] // 2, shape[2] // 2]
    if kind == "dropout":
        return nn.Dropout(p["rate"]), shape
    if kind == "flatten":
        return Flatten(), shape
    if kind == "global_average_pooling2d":
        return Mean(), shape[:1]
    if kind == "activation":
        return nn.ReLU(), shape
    if kind == "add":
        return Add(), shape
    raise ValueError(f"layer {kind}")


def values(content, *shape):
    size = 1
    for dim in shape:
        size *= dim
    return torch.tensor(content.take(size)).reshape(shape)


def prepare(work):
    torch.set_num_threads(work["threads"])
    torch.manual_seed(1)
    torch._dynamo.reset()
    content = Content(work)
    shape = [work["rows"]] + work["input"]
    x = torch.tensor(content.x).reshape(shape)
    y = torch.tensor(content.y, dtype=torch.int64)
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2).contiguous()
    size = work["batch"]
    batches = [(x[i : i + size], y[i : i + size]) for i in range(0, len(y), size)]
    steps = {"eager": stepper(work, Model(work), batches)}
    best = lambda b: b
    last = lambda m: m
    if x.ndim == 4:
        best = lambda b: [(x.contiguous(memory_format=torch.channels_last), y) for x, y in b]
        last = lambda m: m.to(memory_format=torch.channels_last)
        steps["channels_last"] = stepper(work, last(Model(work)), best(batches))
    if not os.environ.get("NO_COMPILE"):
        try:
            step = stepper(work, last(Model(work)), best(batches), torch.compile)
            for _ in range(3):
                step()
            steps["compile"] = step
        except Exception:
            pass  # where it works
    with torch.inference_mode(), precision(work):
        loss = F.cross_entropy(Model(work).eval()(batches[0][0]), batches[0][1]).item()
    return steps, loss


def precision(work):
    """What forward passes run in: bf16 is PyTorch's autocast to it."""
    return torch.autocast("cpu", torch.bfloat16, enabled=work["precision"] == "bf16")


def stepper(work, model, batches, wrap=lambda f: f):
    """Returns a function that takes a step, or runs forward."""
    at = 0

    if not work["optimizer"]:
        model.eval()
        run = wrap(lambda x: F.softmax(model(x), 1))

        def forward():
            with torch.inference_mode(), precision(work):
                run(batches[0][0])

        return forward

    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[work["optimizer"]]
    optimizer = kind(model.parameters(), lr=0.001, fused=True)
    loss = wrap(lambda x, y: F.cross_entropy(model(x), y))

    def step():
        nonlocal at
        x, y = batches[at % len(batches)]
        at += 1
        optimizer.zero_grad(set_to_none=True)
        with precision(work):
            value = loss(x, y)
        value.backward()
        optimizer.step()

    return step


if __name__ == "__main__":
    serve(f"PyTorch {torch.__version__}", prepare)
