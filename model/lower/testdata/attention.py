"""Records attention and its gradients, as PyTorch computes them in float64.

    python3 attention.py

It writes attention.json beside itself: queries, keys and values of [batch, time,
heads, size], a derivative of the output, which is causal, and the output and the
three derivatives that torch.nn.functional.scaled_dot_product_attention has.
"""

import json
import pathlib

import torch

torch.manual_seed(1)
shape = (2, 5, 2, 3)
q, k, v = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(3))
dy = torch.randn(shape, dtype=torch.float64)
heads = lambda x: x.transpose(1, 2)
y = heads(torch.nn.functional.scaled_dot_product_attention(heads(q), heads(k), heads(v), is_causal=True))
y.backward(dy)
out = {name: x.detach().contiguous().flatten().tolist()
       for name, x in {"q": q, "k": k, "v": v, "dy": dy, "y": y, "dq": q.grad, "dk": k.grad, "dv": v.grad}.items()}
out["shape"], out["versions"] = shape, {"torch": torch.__version__}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(out) + "\n")
