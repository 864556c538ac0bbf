"""Compare a multi-layer perceptron with the convolutional network on the same digits.

The perceptron is the CNN's classifier without its convolutions: both end in Linear 256 - Relu - Linear 10.
"""

from __future__ import annotations

from common import DIGITS_HELP, LIMIT_HELP, load_digits, parser, save, start

import minidl
from minidl import plots


def mlp() -> minidl.Model:
    """784 - 256 - 10."""
    return minidl.Model(minidl.Flatten(), minidl.Linear(784, 256), minidl.Relu(), minidl.Linear(256, 10))


def cnn() -> minidl.Model:
    """The network of train_mnist.py, with plain logits."""
    return minidl.Model(
        minidl.Conv2D(1, 8, 3, padding=1),
        minidl.Relu(),
        minidl.AvgPool2D(2),
        minidl.Conv2D(8, 16, 3, padding=1),
        minidl.Relu(),
        minidl.AvgPool2D(2),
        minidl.Flatten(),
        minidl.Linear(784, 256),
        minidl.Relu(),
        minidl.Linear(256, 10),
    )


def main(argv: list[str] | None = None) -> None:
    """Train both with the same optimiser and batches; print a table and draw the test accuracies."""
    p = parser(__doc__, "mlp_vs_cnn", 20, DIGITS_HELP)
    p.add_argument("--limit", type=int, help=LIMIT_HELP)
    args = start(p, argv)
    train, test = load_digits(args.data, args.limit)
    histories = {}
    for name, build in (("MLP", mlp), ("CNN", cnn)):
        model = build()
        optimizer = minidl.SGD(lr=0.01, momentum=0.9, weight_decay=1e-4)
        trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), optimizer)
        print(f"{name}: {sum(p.data.size for p in model.parameters()):,} parameters")
        histories[name] = trainer.fit(train, validation=test, epochs=args.epochs, batch_size=100, seed=args.seed)
    print("model  test loss  test accuracy")
    for name, history in histories.items():
        print(f"{name:5}  {history['val_loss'][-1]:9.4f}  {history['val_accuracy'][-1]:13.2%}")
    save(plots.comparison_figure(histories, "perceptron and convolutional network"), args.out / "comparison.png")


if __name__ == "__main__":
    main()
