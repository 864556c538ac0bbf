"""Softmax and logistic regression as one-layer networks, and the templates that they learn.

Softmax regression is Flatten - Linear(784, 10) under the softmax cross-entropy. With two classes the softmax of
(z0, z1) is the logistic function of z1 - z0, so logistic regression is the same network with two outputs.
"""

from __future__ import annotations

import numpy as np
from common import DIGITS_HELP, LIMIT_HELP, load_digits, parser, save, start

import minidl
from minidl import plots
from minidl.functional import sigmoid_forward


def fit(train, test, classes: int, args) -> minidl.Model:
    """Train one linear layer from zero weights; the cost is convex, so the start does not matter."""
    model = minidl.Model(minidl.Flatten(), minidl.Linear(784, classes, init="zeros"))
    optimizer = minidl.SGD(lr=0.05, momentum=0.9, weight_decay=1e-3)
    trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), optimizer)
    trainer.fit(train, validation=test, epochs=args.epochs, batch_size=100, seed=args.seed)
    print(f"{classes} classes: test accuracy {trainer.evaluate(test)['accuracy']:.2%}")
    return model


def pair(data, a: int, b: int):
    """The images of two digits, labelled 0 and 1."""
    x, y = data
    chosen = (y == a) | (y == b)
    return x[chosen], (y[chosen] == b).astype(np.int64)


def main(argv: list[str] | None = None) -> None:
    """Ten digits with the softmax, 3 against 5 with the logistic function; draw the weights as images."""
    p = parser(__doc__, "softmax_regression", 20, DIGITS_HELP)
    p.add_argument("--limit", type=int, help=LIMIT_HELP)
    args = start(p, argv)
    train, test = load_digits(args.data, args.limit)
    softmax = fit(train, test, 10, args)
    weight = softmax.parameters()[0].data
    templates = plots.filters_figure(weight.reshape(10, 1, 28, 28), "softmax regression: the weights of 0 to 9")
    save(templates, args.out / "templates.png")

    train, test = pair(train, 3, 5), pair(test, 3, 5)
    logistic = fit(train, test, 2, args)
    z = logistic.predict(test[0])
    p_five = sigmoid_forward(z[:, 1:] - z[:, :1])[:, 0]
    difference = np.abs(p_five - plots.probabilities(z)[:, 1]).max()
    print(f"softmax of two logits against the logistic function of their difference: at most {difference:.1e} apart")
    weight = logistic.parameters()[0].data
    template = plots.filters_figure((weight[1] - weight[0]).reshape(1, 1, 28, 28), "logistic regression: 5 against 3")
    save(template, args.out / "logistic.png")


if __name__ == "__main__":
    main()
