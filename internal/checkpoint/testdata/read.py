"""Reads sample.safetensors with the loaders of torch and numpy.

Last run with safetensors 0.8.0, torch 2.15.0, numpy 2.4.6, Python 3.11:
python3 internal/checkpoint/testdata/read.py
"""

import pathlib

import safetensors
import safetensors.numpy
import safetensors.torch

path = pathlib.Path(__file__).with_name("sample.safetensors")
want = {
    "dense.kernel": [[1, -2, 3.5], [float("inf"), 2.0**-149, 0]],
    "dense.bias": [0.1, 0.2, 0.3],
    "step": 7,
}


def flat(v):
    """Returns the numbers of nested lists."""
    return sum(map(flat, v), []) if isinstance(v, list) else [v]


for load in safetensors.torch.load_file, safetensors.numpy.load_file:
    got = load(path)
    assert set(got) == set(want), got
    for name, tensor in got.items():
        assert tensor.dtype.itemsize == 4, tensor.dtype
        pairs = zip(tensor.reshape(-1).tolist(), flat(want[name]), strict=True)
        assert all(a == b or abs(a - b) < 1e-7 for a, b in pairs), (name, tensor)
with safetensors.safe_open(path, framework="pt") as f:
    assert f.metadata()["step"] == "900", f.metadata()
print("ok")
