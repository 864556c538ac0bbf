"""Overfit a small subset on purpose: a network that cannot learn 100 images by heart has a bug.

Prints the first loss, which must be about log(classes), and trains without regularisation until the subset is known.
"""

from __future__ import annotations

import math

from common import DIGITS_HELP, load_digits, parser, save, start

import minidl
from minidl import plots


def build() -> minidl.Model:
    """A small conv - relu - pool - affine network with max pooling."""
    return minidl.Model(
        minidl.Conv2D(1, 8, 3, padding=1),
        minidl.Relu(),
        minidl.MaxPool2D(2),
        minidl.Flatten(),
        minidl.Linear(8 * 14 * 14, 64),
        minidl.Relu(),
        minidl.Linear(64, 10, init=0.01),
    )


def main(argv: list[str] | None = None) -> None:
    """Train on the subset, watch the test accuracy stay behind, end with an error if the subset is not learnt."""
    p = parser(__doc__, "overfit", 30, DIGITS_HELP, "passes over the subset")
    p.add_argument("--limit", type=int, default=100, help="size of the subset (default 100)")
    args = start(p, argv)
    (x, y), test = load_digits(args.data)
    train = x[: args.limit], y[: args.limit]
    trainer = minidl.Trainer(build(), minidl.SoftmaxCrossEntropyLoss(), minidl.Adam(lr=0.002))
    first = trainer.evaluate(train)["loss"]
    print(f"loss before training {first:.3f}, log(10) = {math.log(10):.3f}")
    history = trainer.fit(train, validation=test, epochs=args.epochs, batch_size=25, seed=args.seed)
    scores = trainer.evaluate(train)
    known = scores["accuracy"] == 1.0
    print(f"loss after training {scores['loss']:.4f}, accuracy on the subset {scores['accuracy']:.2%}")
    print(f"accuracy on {len(test[1])} unseen images {history['val_accuracy'][-1]:.2%}")
    save(plots.curves_figure(history, f"overfitting {len(train[1])} images on purpose"), args.out / "curves.png")
    if not known:
        raise SystemExit("the subset was not learnt: more epochs, or a bug")


if __name__ == "__main__":
    main()
