"""The table of the article: loss and accuracy of both sets as a training goes on."""

from __future__ import annotations

from common import Data

import minidl

ARTICLE = {
    1: (0.1224, 0.1495, 96.23, 95.14),
    10: (0.0341, 0.0400, 98.89, 98.54),
    20: (0.0149, 0.0355, 99.49, 98.92),
    50: (0.0049, 0.0365, 99.89, 98.88),
    100: (0.0022, 0.0307, 99.99, 99.10),
}
"""What the article printed for `seed` and all 60,000 digits, by epoch (it counts the first one as 0)."""

KEYS = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
"""The columns, by their names in a History."""


class Table(minidl.Callback):
    """Judges both sets after each epoch, prints a line, and at the end the article's table beside the article's values.

    lists: what was measured, as in a History. A History's own training figures are means over the epoch, of augmented
    images and changing weights; these are of the images as they are, after the epoch.
    """

    def __init__(self, train: Data, judged: Data, name: str) -> None:
        self.sets = {"train": train, name: judged}
        self.lists: dict[str, list[float]] = {key: [] for key in KEYS}

    def on_epoch_end(self, trainer: minidl.Trainer, history: minidl.History) -> None:
        """Measure, and print the epoch's line."""
        scores = [trainer.evaluate(data) for data in self.sets.values()]
        for key, value in zip(KEYS, [s["loss"] for s in scores] + [s["accuracy"] for s in scores]):
            self.lists[key].append(value)
        parts = [f"{name} loss {s['loss']:.4f}  acc {s['accuracy']:7.2%}" for name, s in zip(self.sets, scores)]
        print(f"epoch {history.epochs:3}  {'  '.join(parts)}  {history['seconds'][-1]:.2f} s", flush=True)

    def on_fit_end(self, trainer: minidl.Trainer, history: minidl.History) -> None:
        """Print the rows of the first epoch, of each tenth and of the last."""
        train, judged = self.sets
        head = f"train loss  {judged + ' loss':>9}  train acc  {judged + ' acc':>8}"
        ours = f"these {len(self.sets[train][1]):,} digits"
        print(f"\n       {ours:^{len(head)}}    {'':8}the article, 60,000 digits")
        print(f"epoch  {head}    train loss  test loss  train acc  test acc")
        rows = list(zip(*self.lists.values()))
        for epoch, (a, b, c, d) in enumerate(rows, 1):
            if epoch == 1 or epoch % 10 == 0 or epoch == len(rows):
                values = [(a, b, 100 * c, 100 * d), *([ARTICLE[epoch]] if epoch in ARTICLE else [])]
                text = [f"{p:10.4f}  {q:9.4f}  {r:9.2f}  {s:8.2f}" for p, q, r, s in values]
                print(f"{epoch:5}  {'    '.join(text)}")
        print(flush=True)
