"""One-dimensional convolution, the worked example of the derivation, as a Conv2D of height 1.

Shows the forward sum and the three gradients against numpy's own convolution and correlation, then learns an unknown
kernel from the filtered signal by gradient descent.
"""

from __future__ import annotations

import numpy as np
from common import parser, save, start

import minidl
from minidl import functional, plots


def gradients(x: np.ndarray, w: np.ndarray, b: float) -> None:
    """Print y = x * w + b and its gradients for dy = (1, 2, 3, ...), each with its formula; all must agree."""
    x4, w4, bias = x.reshape(1, 1, 1, -1), w.reshape(1, 1, 1, -1), np.array([b])
    y = functional.conv2d_forward(x4, w4, bias)
    dy = np.arange(1.0, y.shape[3] + 1).reshape(y.shape)
    dx, dw, db = functional.conv2d_backward(dy, x4, w4)
    rows = (
        ("y[i]  = b + sum_k x[i+k] w[k]", y, np.correlate(x, w, "valid") + b),
        ("dx[i] = sum_k dy[i-k] w[k]   (full, kernel turned)", dx, np.convolve(dy.ravel(), w, "full")),
        ("dw[k] = sum_i dy[i] x[i+k]", dw, np.correlate(x, dy.ravel(), "valid")),
        ("db    = sum_i dy[i]", db, dy.sum()),
    )
    for formula, found, expected in rows:
        print(f"{formula:52} {found.ravel()}")
        np.testing.assert_allclose(found.ravel(), np.ravel(expected), rtol=1e-12)


def learn(x: np.ndarray, kernel: np.ndarray, epochs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Learn `kernel` from a signal and its filtered form; returns the learnt kernel and both filtered signals."""
    pad = (0, len(kernel) // 2)
    x4 = x.reshape(1, 1, 1, -1)
    target = functional.conv2d_forward(x4, kernel.reshape(1, 1, 1, -1), None, padding=pad)
    layer = minidl.Conv2D(1, 1, (1, len(kernel)), padding=pad, bias=False, init="zeros").astype(x.dtype)
    loss, optimizer = minidl.MSELoss(), minidl.SGD(lr=0.1 / np.sum(x**2), momentum=0.9)
    for step in range(epochs):
        value = loss.forward(layer.forward(x4, train=True), target)
        layer.backward(loss.backward())
        optimizer.step(layer.parameters())
        if step % max(1, epochs // 5) == 0:
            print(f"step {step:4}: loss {value:.3e}")
    return layer.weight.data.ravel(), target.ravel(), layer.forward(x4).ravel()


def main(argv: list[str] | None = None) -> None:
    """The worked example, then learning."""
    help_text = "text file with a signal, one number a line (default: a noisy square wave)"
    args = start(parser(__doc__, "convolution_1d", 200, help_text, "steps of learning the kernel"), argv)
    gradients(np.array([1.0, 2.0, 0.0, -1.0, 3.0]), np.array([2.0, 1.0, -1.0]), b=0.5)
    if args.data:
        signal = np.loadtxt(args.data, ndmin=1)
    else:
        signal = np.sign(np.sin(np.arange(120) / 9)) + np.random.default_rng(args.seed).normal(0, 0.2, 120)
    kernel = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 9
    learnt, target, found = learn(signal, kernel, args.epochs)
    print(f"kernel {kernel.round(3)}\nlearnt {learnt.round(3)}")
    lines = {"signal": signal, "filtered": target, "filtered by the learnt kernel": found}
    save(plots.lines_figure(lines, "sample", "value", "a smoothing kernel, learnt"), args.out / "signal.png")


if __name__ == "__main__":
    main()
