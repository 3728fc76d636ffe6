"""What the Python contestants share: the protocol of serve.go, and the file of a work."""

import array
import json
import sys
import time

WARM = 2  # steps at the start of a turn that do not count


class Content:
    """The rows, labels and initial parameters of a work, in the order of the layers."""

    def __init__(self, work):
        size = 1
        for dim in work["input"]:
            size *= dim
        rows = work["rows"]
        with open(work["data"], "rb") as f:
            x, y, values = array.array("f"), array.array("i"), array.array("f")
            x.frombytes(f.read(4 * rows * size))
            y.frombytes(f.read(4 * rows))
            values.frombytes(f.read())
        self.x, self.y, self.values, self.at = x, y, values, 0

    def take(self, count):
        """Returns the next values of the parameters."""
        self.at += count
        return self.values[self.at - count : self.at]


def kind_of(layer):
    """Returns the kind and parameters of a layer."""
    for kind, params in layer.items():
        if kind not in ("name", "inputs"):
            return kind, params if isinstance(params, dict) else {}
    raise ValueError(layer)


def inputs_of(layers):
    """Returns, for each layer, the indices of the layers that it reads; -1 is the input."""
    known = {layer["name"]: i for i, layer in enumerate(layers) if "name" in layer}
    known["input"] = -1
    return [
        [known[name] for name in layer["inputs"]] if "inputs" in layer else [i - 1]
        for i, layer in enumerate(layers)
    ]


def turn(step, ms):
    times, total = [], 0.0
    while total < ms or len(times) <= WARM:
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
        total += times[-1]
    return times[WARM:]


def serve(name, prepare):
    """Answers requests. prepare(work) returns a dict of step functions by mode, and the loss."""
    steps = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request.get("work"):
                steps, loss = prepare(request["work"])
                answer = {"name": name, "modes": list(steps), "loss": loss}
            elif request.get("ms"):
                answer = {"times": turn(steps[request.get("mode", "")], request["ms"])}
            else:
                answer = {"name": name}
        except Exception as e:  # the race goes on without this work
            answer = {"name": name, "error": f"{type(e).__name__}: {e}"[:500]}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
