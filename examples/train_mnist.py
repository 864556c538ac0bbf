"""Train the article's convolutional network on MNIST digits and print its table.

Two convolutions with average pooling, two linear layers, a Relu after each of them, also after the last:
softmax cross-entropy, SGD with momentum 0.9, weight decay 0.0001, learning rate 0.01, batches of 100.
"""

from __future__ import annotations

import numpy as np
from common import DIGITS_HELP, LIMIT_HELP, load_digits, parser, start

import minidl
from minidl import plots


def half_normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """|normal| weights of He's deviation, for the last layer alone.

    Its inputs are not negative, so neither are its outputs: every class begins on the live side of the Relu on the
    logits. With signed weights that Relu shuts some classes off for all images before they have learnt anything.
    """
    return np.abs(rng.normal(0.0, np.sqrt(2.0 / shape[1]), shape))


def build() -> minidl.Model:
    """The network; convolutions and the first linear layer start He-normal, biases at zero."""
    return minidl.Model(
        minidl.Conv2D(1, 8, 3, padding=1),
        minidl.Relu(),
        minidl.AvgPool2D(2),
        minidl.Conv2D(8, 16, 3, padding=1),
        minidl.Relu(),
        minidl.AvgPool2D(2),
        minidl.Reshape((784,)),
        minidl.Linear(784, 256),
        minidl.Relu(),
        minidl.Linear(256, 10, init=half_normal),
        minidl.Relu(),
    )


class Table(minidl.Callback):
    """Prints the article's table: both sets evaluated after each epoch (epoch 1 here is epoch 0 there)."""

    def __init__(self, train: tuple[np.ndarray, np.ndarray]) -> None:
        self.train = train

    def on_fit_begin(self, trainer: minidl.Trainer) -> None:
        """Print the head."""
        self.rows: dict[str, list[float]] = {"train_loss": [], "train_accuracy": [], "val_loss": [], "val_accuracy": []}
        print("epoch  train loss  test loss  train acc  test acc  seconds")

    def on_epoch_end(self, trainer: minidl.Trainer, history: minidl.History) -> None:
        """Print one row; `history` has the test scores, the training set is evaluated here."""
        scores = trainer.evaluate(self.train)
        row = scores["loss"], scores["accuracy"], history["val_loss"][-1], history["val_accuracy"][-1]
        for values, value in zip(self.rows.values(), row, strict=True):
            values.append(value)
        train_loss, train_accuracy, test_loss, test_accuracy = row
        print(
            f"{history.epochs:5}  {train_loss:10.4f}  {test_loss:9.4f}  {100 * train_accuracy:9.2f}"
            f"  {100 * test_accuracy:8.2f}  {history['seconds'][-1]:7.2f}",
            flush=True,
        )


def main(argv: list[str] | None = None) -> None:
    """Train, print one row an epoch, write the pictures."""
    p = parser(__doc__, "mnist", 30, DIGITS_HELP)
    p.add_argument("--limit", type=int, help=LIMIT_HELP)
    args = start(p, argv)
    train, test = load_digits(args.data, args.limit)
    model = build()
    print(model.summary((1, 28, 28)))
    print(f"{len(train[1])} training and {len(test[1])} test images")
    table = Table(train)
    optimizer = minidl.SGD(lr=0.01, momentum=0.9, weight_decay=1e-4)
    trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), optimizer)
    trainer.fit(train, test, args.epochs, batch_size=100, seed=args.seed, callbacks=[table], verbose=False)
    for path in plots.save_report(model, table.rows, test, args.out):
        print(f"picture: {path}")


if __name__ == "__main__":
    main()
