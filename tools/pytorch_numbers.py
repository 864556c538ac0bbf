"""Compute with PyTorch what the pages of operations show beside minidl's numbers: docs/book/operations/pytorch.json.

Run where torch is installed, as in .venv-witness: python tools/pytorch_numbers.py. The book is built without PyTorch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

TARGET = Path(__file__).parents[1] / "docs" / "book" / "operations" / "pytorch.json"
X = [[1.0, 2.0, 0.0, -1.0], [0.0, 3.0, 1.0, 2.0], [-2.0, 1.0, 1.0, 0.0], [4.0, 0.0, -1.0, 1.0]]
"""The map that most examples share."""


def leaf(values: Any) -> torch.Tensor:
    """A float64 tensor that wants its gradient."""
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def upstream(y: torch.Tensor) -> torch.Tensor:
    """1, 2, 3, ... in the shape of y."""
    return torch.arange(1.0, y.numel() + 1, dtype=torch.float64).reshape(y.shape)


def numbers(y: torch.Tensor, dy: torch.Tensor | None = None, **leaves: torch.Tensor) -> dict[str, Any]:
    """y, and the gradient of each leaf under its name with a d before."""
    y.backward(upstream(y) if dy is None else dy)
    return {"y": y.detach().tolist(), **{f"d{name}": leaf.grad.tolist() for name, leaf in leaves.items()}}


def squash(s: torch.Tensor) -> torch.Tensor:
    """The direction of each vector, and a length below 1."""
    length = s.norm(dim=-1, keepdim=True)
    return s * length / (1 + length**2)


def routed(u: torch.Tensor, w: torch.Tensor, passes: int) -> torch.Tensor:
    """Capsules (J, E) of u (I, D) by routing, w (I, J, E, D); autograd follows the couplings too."""
    votes = torch.einsum("ijed,id->ije", w, u)
    b = torch.zeros(votes.shape[:2], dtype=torch.float64)
    for _ in range(passes):
        v = squash((b.softmax(dim=1)[:, :, None] * votes).sum(dim=0))
        b = b + (votes * v).sum(dim=2)
    return v


def all_numbers() -> dict[str, Any]:
    """The examples of all pages."""
    found: dict[str, Any] = {}

    x, w, b = leaf([[X]]), leaf([[[[2.0, 1.0], [-1.0, 0.5]]]]), leaf([0.5])
    found["convolution"] = numbers(functional.conv2d(x, w, b), x=x, w=w, b=b)
    x, w, b = (
        leaf([[[[1.0, 2.0], [-1.0, 3.0]]]]),
        leaf([[[[2.0, 1.0, 0.5], [-1.0, 0.5, 1.0], [0.0, 1.0, -2.0]]]]),
        leaf([0.5]),
    )
    found["transposed"] = numbers(functional.conv_transpose2d(x, w, b, stride=2), x=x, w=w, b=b)
    x = leaf([[X]])
    found["maximum"] = numbers(functional.max_pool2d(x, 2, 1), x=x)
    x = leaf([[X]])
    found["average"] = numbers(functional.avg_pool2d(x, 2), x=x)
    x, w, b = leaf([[1.0, -2.0, 3.0], [0.0, 1.0, 1.0]]), leaf([[2.0, 0.0, 1.0], [-1.0, 3.0, 0.5]]), leaf([0.5, -0.5])
    found["linear"] = numbers(functional.linear(x, w, b), x=x, w=w, b=b)
    line = [-2.0, -0.5, 0.0, 0.5, 2.0]
    activations = {
        "relu": torch.relu,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "leaky_relu": lambda v: functional.leaky_relu(v, 0.01),
        "elu": functional.elu,
        "gelu": functional.gelu,
        "softplus": functional.softplus,
    }
    for name, function in activations.items():
        x = leaf([line])
        found[name] = numbers(function(x), torch.ones(1, 5, dtype=torch.float64), x=x)
    x, gamma, beta = leaf([[1.0], [2.0], [4.0], [5.0]]), leaf([2.0]), leaf([1.0])
    y = functional.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-5)
    found["batchnorm"] = numbers(y, x=x, gamma=gamma, beta=beta)
    x = leaf([[2.0, 0.5, -1.0], [0.0, 0.0, 3.0]])
    loss = functional.cross_entropy(x, torch.tensor([0, 1]))
    found["softmax_cross_entropy"] = numbers(loss, torch.ones((), dtype=torch.float64), x=x)
    x = leaf([[1.0, -2.0], [0.5, 3.0]])
    target = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    found["mse"] = numbers(functional.mse_loss(x, target), torch.ones((), dtype=torch.float64), x=x)
    for name, make in {
        "sgd": lambda p: torch.optim.SGD([p], lr=0.1, momentum=0.9, weight_decay=0.01),
        "rmsprop": lambda p: torch.optim.RMSprop([p], lr=0.01, alpha=0.9, eps=1e-8),
        "adam": lambda p: torch.optim.Adam([p], lr=0.1),
    }.items():
        p = leaf([1.0])
        optimizer, path = make(p), []
        for _ in range(3):
            p.grad = 2 * p.detach()  # of p squared
            optimizer.step()
            path.append(p.item())
        found[name] = {"path": path}
    u = leaf([[1.0, 0.5], [-0.5, 1.0]])
    first, second = (
        [[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]],
        [[[0.5, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, -1.0]]],
    )
    w = leaf([first, second])
    found["capsules"] = numbers(routed(u, w, 3), u=u, w=w)
    a, b = leaf([[[1.0, 0.0, 2.0], [-1.0, 1.0, 0.5]]]), leaf([[[2.0, 1.0], [0.0, -1.0], [1.0, 3.0]]])
    found["products"] = numbers(a @ b, a=a, b=b)
    x = leaf([[1.0, 2.0, 0.0]])
    found["softmax"] = numbers(x.softmax(dim=1), x=x)
    a, b = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf([[10.0, -1.0]])
    found["multiply"] = numbers(a * b, a=a, b=b)
    return found


def main() -> None:
    """Write the file."""
    origin = f"PyTorch {torch.__version__}, float64, CPU; written by tools/pytorch_numbers.py"
    TARGET.write_text(json.dumps({"origin": origin, **all_numbers()}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
