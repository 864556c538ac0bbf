"""Train CS231n's three-layer ConvNet on CIFAR-10: conv - relu - 2x2 max pool - affine - relu - affine - softmax.

32 filters of 7x7, 500 hidden units, Adam; the last 1,000 training images are kept for validation.
"""

from __future__ import annotations

from common import LIMIT_HELP, parser, start

import minidl
from minidl import data, plots

CLASSES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def build(mean: list[float]) -> minidl.Model:
    """The network; the model itself subtracts the mean colour from the images."""
    return minidl.Model(
        minidl.Conv2D(3, 32, 7, padding=3),
        minidl.Relu(),
        minidl.MaxPool2D(2),
        minidl.Flatten(),
        minidl.Linear(32 * 16 * 16, 500),
        minidl.Relu(),
        minidl.Linear(500, 10, init=0.001),  # small, so that the first loss is log(10)
        mean=mean,
    )


def main(argv: list[str] | None = None) -> None:
    """Train with validation, judge the test set, write the pictures."""
    p = parser(__doc__, "cifar", 1, "folder with the six CIFAR-10 files (default: MINIDL_DATA, else downloaded)")
    p.add_argument("--limit", type=int, help=LIMIT_HELP)
    p.add_argument("--lr", type=float, default=1e-3, help="learning rate of Adam (default 0.001)")
    args = start(p, argv)
    (x, y), (x_test, y_test) = (
        (images[: args.limit], labels[: args.limit]) for images, labels in data.load_cifar10(args.data)
    )
    kept = min(1000, len(x) // 5)
    train, validation = (x[:-kept], y[:-kept]), (x[-kept:], y[-kept:])

    model = build([float(channel.mean()) / 255 for channel in train[0].transpose(1, 0, 2, 3)])
    print(model.summary((3, 32, 32)))
    trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.Adam(args.lr))
    first = trainer.evaluate(validation)["loss"]
    print(f"loss before training {first:.3f} (log of 10 classes: 2.303)")
    history = trainer.fit(train, validation=validation, epochs=args.epochs, batch_size=100, seed=args.seed)
    print(f"validation accuracy {history['val_accuracy'][-1]:.2%}")
    print(f"test accuracy {trainer.evaluate((x_test, y_test))['accuracy']:.2%}")
    plots.save_report(model, history, (x_test, y_test), args.out, CLASSES)
    print(f"pictures: {args.out}")


if __name__ == "__main__":
    main()
