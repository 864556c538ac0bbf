"""The recipes of examples/train_mnist.py and train_cifar.py in PyTorch: the side figures of docs/results.md.

    python -m benchmarks.torch_recipes vgg --data cifar --out out/torch_vgg

Same data (read through minidl.data), networks, augmentation, schedule, batches and epochs; PyTorch's own initialisation
and random numbers. Needs torch. Writes DIR/result.json with the keys of the examples' result.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks import machine, networks
from benchmarks.libraries.pytorch import layer
from minidl import OneCycle, data
from minidl.optim.schedules import Schedule

Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Recipe:
    """How to train; lr is that of a number or of a schedule. normalise: images to mean 0, deviation 1 a channel."""

    network: networks.Network
    data: str
    epochs: int
    batch: int
    lr: float | Schedule
    optimizer: Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]
    smoothing: float = 0.0
    augment: bool = False
    relu_on_logits: bool = False


def _sgd(weight_decay: float, nesterov: bool) -> Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]:
    return lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=weight_decay, nesterov=nesterov)


RECIPES = {
    "seed": Recipe(networks.SEED, "mnist", 100, 100, 0.01, _sgd(1e-4, False), relu_on_logits=True),
    "vgg": Recipe(networks.VGG, "cifar", 12, 128, OneCycle(0.2), _sgd(1e-3, True), smoothing=0.1, augment=True),
    "three-layer": Recipe(networks.THREE_LAYER, "cifar", 1, 64, OneCycle(0.03), _sgd(0.0, True)),
}


def load(kind: str, folder: Path, held_out: bool) -> tuple[Pair, Pair]:
    """Training and judging images, uint8, with their labels; `held_out` judges on the last 5,000 training images."""
    train, test = data.load_mnist(folder) if kind == "mnist" else data.load_cifar10(folder)
    if held_out:
        train, test = tuple(a[:-5000] for a in train), tuple(a[-5000:] for a in train)
    (x, y), (x_test, y_test) = (tuple(map(torch.from_numpy, pair)) for pair in (train, test))
    return (x, y), (x_test, y_test)


class Scaling:
    """uint8 images to floats: MNIST to [0, 1], CIFAR-10 to mean 0 and deviation 1 of each colour."""

    def __init__(self, x: torch.Tensor, memory_format: torch.memory_format) -> None:
        self.memory_format = memory_format
        self.mean, self.std = torch.zeros(1, 1, 1), torch.full((1, 1, 1), 255.0)
        if x.shape[1] == 3:
            values = x.numpy()
            self.mean, self.std = (
                torch.tensor([f(values[:, c]) for c in range(3)], dtype=torch.float32).view(3, 1, 1)
                for f in (np.mean, np.std)
            )

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """A batch as the network takes it."""
        return x.float().sub_(self.mean).div_(self.std).contiguous(memory_format=self.memory_format)


class Crop:
    """A random crop of 32 x 32 from images with a mirrored margin of 2, half of them flipped: one gather a batch."""

    margin = 2

    def __init__(self, x: torch.Tensor) -> None:
        around = (self.margin, self.margin)
        self.padded = torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), around, around), mode="reflect"))
        self.line = torch.arange(32)

    def __call__(self, index: torch.Tensor) -> torch.Tensor:
        """The augmented images `index`."""
        n = len(index)
        offsets = 2 * self.margin + 1
        rows = torch.randint(offsets, (n, 1)) + self.line
        columns = torch.where(torch.rand(n, 1) < 0.5, self.line, self.line.flip(0)) + torch.randint(offsets, (n, 1))
        picked = self.padded[index[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return picked.permute(0, 3, 1, 2)


def accuracy(model: nn.Module, scaling: Scaling, judged: Pair) -> float:
    """Share of right answers; the model is in training mode afterwards."""
    model.eval()
    with torch.inference_mode():
        right = sum(int((model(scaling(x)).argmax(1) == y).sum()) for x, y in zip(*(t.split(500) for t in judged)))
    model.train()
    return right / len(judged[1])


def run(name: str, options: argparse.Namespace) -> dict[str, object]:
    """Train, print a line an epoch, and return what result.json holds."""
    recipe, epochs = RECIPES[name], options.epochs or RECIPES[name].epochs
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    (x, y), judged = load(recipe.data, options.data, options.validate)
    memory_format = torch.channels_last if options.channels_last else torch.contiguous_format
    scaling = Scaling(x, memory_format)
    pick = Crop(x) if recipe.augment else x.__getitem__
    layers = [layer(spec) for spec in recipe.network.layers] + [nn.ReLU()] * recipe.relu_on_logits
    model = nn.Sequential(*layers).to(memory_format=memory_format)
    loss = nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)
    optimizer = recipe.optimizer(model.parameters())
    seconds: list[float] = []
    losses: list[float] = []
    accuracies: list[float] = []
    for epoch in range(epochs):
        begun = time.perf_counter()
        total = torch.zeros(())
        for i, index in enumerate(torch.randperm(len(x)).split(recipe.batch)):
            done = epoch + i * recipe.batch / len(x)
            optimizer.param_groups[0]["lr"] = recipe.lr if isinstance(recipe.lr, float) else recipe.lr(done, epochs)
            optimizer.zero_grad()
            value = loss(model(scaling(pick(index))), y[index])
            value.backward()
            optimizer.step()
            total += value.detach() * len(index)
        losses.append(float(total) / len(x))
        seconds.append(time.perf_counter() - begun)
        line = f"epoch {epoch + 1}/{epochs}  train loss {losses[-1]:.4f}  {seconds[-1]:.1f} s"
        if options.validate:
            accuracies.append(accuracy(model, scaling, judged))
            line += f"  validation {accuracies[-1]:.2%}"
        print(line, flush=True)
    final = accuracy(model, scaling, judged)
    print(f"{'validation' if options.validate else 'test'} accuracy {final:.2%}, training {sum(seconds):.1f} s")
    return {
        "recipe": name,
        "library": f"PyTorch {torch.__version__}",
        "seed": options.seed,
        "threads": options.threads,
        "channels_last": options.channels_last,
        "machine": machine.describe(),
        "validate": options.validate,
        "epochs": epochs,
        "seconds": sum(seconds),
        "accuracy": final,
        "history": {"seconds": seconds, "train_loss": losses, "val_accuracy": accuracies},
    }


def main(argv: list[str] | None = None) -> None:
    """Run one recipe."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("recipe", choices=RECIPES)
    p.add_argument("--data", type=Path, required=True, help="folder with the files of MNIST or CIFAR-10")
    p.add_argument("--out", type=Path, required=True, help="folder for result.json")
    p.add_argument("--epochs", type=int, help="default: the recipe's")
    p.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    p.add_argument("--threads", type=int, default=machine.cores(), help="default: one a core")
    p.add_argument("--channels-last", action="store_true", help="activations and weights in that memory format")
    p.add_argument("--validate", action="store_true", help="hold the last 5,000 training images out, and judge on them")
    options = p.parse_args(argv)
    result = run(options.recipe, options)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
