"""Train a capsule network on MNIST digits, and look at what the dimensions of a capsule mean.

Sabour, Frosst, Hinton 2017, "Dynamic routing between capsules" (arXiv 1710.09829), sized for two processor cores:
three small convolutions with batch normalisation instead of two large ones, 288 primary capsules of 8 values instead of
1,152, ten digit capsules of 16 values with three passes of routing, margin loss, and the paper's decoder. Digits move
by up to two pixels, as there.
"""

from __future__ import annotations

import numpy as np
from common import DIGITS_HELP, LIMIT_HELP, load_digits, parser, save, start

import minidl
from minidl import plots
from minidl.data import Shift

STEPS = np.linspace(-0.25, 0.25, 11, dtype=np.float32)
"""What is added to one value of a capsule (the paper's section 5.1: -0.25 to 0.25 in steps of 0.05)."""


def build(wide: int = 64, hidden: tuple[int, int] = (512, 1024)) -> minidl.CapsuleNetwork:
    """The network; wide: channels before the capsules, in groups of 8; hidden: of the decoder."""
    return minidl.CapsuleNetwork(
        minidl.Conv2D(1, wide // 2, 5, stride=2, padding=2),  # 14 x 14
        minidl.BatchNorm2D(wide // 2),
        minidl.Relu(),
        minidl.Conv2D(wide // 2, wide, 3, padding=1),
        minidl.BatchNorm2D(wide),
        minidl.Relu(),
        minidl.Conv2D(wide, wide, 3, stride=2),  # 6 x 6
        minidl.BatchNorm2D(wide),
        minidl.PrimaryCapsules(8),
        minidl.Capsules(36 * wide // 8, 8, 10, 16),
        decoder=minidl.Sequential(
            minidl.Linear(160, hidden[0]),
            minidl.Relu(),
            minidl.Linear(hidden[0], hidden[1]),
            minidl.Relu(),
            minidl.Linear(hidden[1], 784, init="glorot_uniform"),
            minidl.Sigmoid(),
        ),
    )


def one_of_each(labels: np.ndarray) -> np.ndarray:
    """Index of the first image of each class."""
    return np.array([np.flatnonzero(labels == k)[0] for k in np.unique(labels)])


def varied(model: minidl.CapsuleNetwork, image: np.ndarray, label: int) -> np.ndarray:
    """Drawings (16, 11, 28, 28) of one image's capsule with each value in turn changed by STEPS."""
    capsules = np.zeros((16, len(STEPS), 10, 16), np.float32)
    capsules[:, :, label] = model.capsules(image[None])[0, label]
    for d in range(16):
        capsules[d, :, label, d] += STEPS
    return model.decode(capsules.reshape(-1, 10, 16)).reshape(16, len(STEPS), 28, 28)


def main(argv: list[str] | None = None) -> None:
    """Train, print an epoch a line, write the pictures and the weights."""
    p = parser(__doc__, "capsules", 15, DIGITS_HELP)
    p.add_argument("--limit", type=int, help=LIMIT_HELP)
    p.add_argument("--digit", type=int, choices=range(10), default=4, help="whose capsule is varied (default 4)")
    p.add_argument(
        "--small", action="store_true", help="a quarter of the channels and a small decoder, for a quick look"
    )
    args = start(p, argv)
    train, (x, y) = load_digits(args.data, args.limit)
    model = build(16, (64, 128)) if args.small else build()
    print(model.summary((1, 28, 28)))
    optimizer = minidl.Adam(minidl.OneCycle(0.003, warmup=0.15))
    trainer = minidl.Trainer(model, minidl.CapsuleLoss(model), optimizer)
    history = trainer.fit(train, epochs=args.epochs, batch_size=128, seed=args.seed, augment=[Shift(2)])
    scores = trainer.evaluate((x, y))
    print(f"trained for {sum(history['seconds']):.0f} s; test accuracy {scores['accuracy']:.2%}")
    args.out.mkdir(parents=True, exist_ok=True)
    model.save(args.out / "capsules.safetensors")
    save(plots.curves_figure(history, "capsules"), args.out / "curves.png")
    shown = one_of_each(y)
    inputs = x[shown] / np.float32(255)
    rows = [inputs[:, 0], model.reconstruct(inputs, y[shown])[:, 0]]
    save(
        plots.strips_figure(rows, ["seen", "drawn"], "digits and their reconstructions"),
        args.out / "reconstructions.png",
    )
    image = inputs[y[shown] == args.digit]
    if len(image):
        names = [f"value {d}" for d in range(16)]
        title = f"a {args.digit} with one value of its capsule changed by -0.25 to 0.25"
        save(plots.strips_figure(varied(model, image[0], args.digit), names, title), args.out / "dimensions.png")


if __name__ == "__main__":
    main()
