"""A network in scikit-learn: a pipeline, a search over two processes, confusion, calibration, saved and exported.

The search decides on the learning rate and on whether the pixels' square roots are taken, which lightens thin strokes.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
from common import DIGITS_HELP, LIMIT_HELP, load_digits, parser, save, start

from minidl import plots


def search(epochs: int, seed: int) -> Any:
    """A GridSearchCV of a pipeline, not yet fitted."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    from minidl.sklearn import ConvNetClassifier

    network = ConvNetClassifier(image_shape=(28, 28), epochs=epochs, random_state=seed)
    pipeline = Pipeline([("gamma", FunctionTransformer()), ("network", network)])
    grid = {"gamma__func": [None, np.sqrt], "network__lr": [0.005, 0.02]}
    return GridSearchCV(pipeline, grid, cv=3, n_jobs=2)


def calibrate(pipeline: Any, x: np.ndarray, y: np.ndarray) -> Any:
    """The fitted pipeline with probabilities that are put right on rows which it was not trained on."""
    import sklearn
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    version = tuple(map(int, sklearn.__version__.split(".")[:2]))
    method = "temperature" if version >= (1, 8) else "sigmoid"  # one number for all classes needs few rows
    return CalibratedClassifierCV(FrozenEstimator(pipeline), method=method).fit(x, y)


def reliability(p: np.ndarray, y: np.ndarray, bins: int = 8) -> np.ndarray:
    """Share of right answers by how sure they are: for equally many answers in each bin, from unsure to sure."""
    order = np.argsort(p.max(axis=1), kind="stable")
    right = (p.argmax(axis=1) == y)[order]
    return np.array([part.mean() for part in np.array_split(right, bins)])


def exported(estimator: Any, path: Path, x: np.ndarray) -> str:
    """Write the network as ONNX, and tell how many labels ONNX Runtime finds as scikit-learn does."""
    if importlib.util.find_spec("onnx") is None:
        return "no ONNX file: that needs the extra 'onnx'"
    estimator.to_onnx(path)
    if importlib.util.find_spec("onnxruntime") is None:
        return f"exported: {path}"
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    labels, _ = session.run(["label", "probabilities"], {"X": x.astype(np.float32)})
    return f"exported: {path}; ONNX Runtime gives {(labels == estimator.predict(x)).mean():.2%} of the same labels"


def main(argv: list[str] | None = None) -> None:
    """Search, judge, calibrate, save, export; end in one line without scikit-learn."""
    p = parser(__doc__, "sklearn", 5, DIGITS_HELP)
    p.add_argument("--limit", type=int, help=LIMIT_HELP)
    args = start(p, argv)
    if importlib.util.find_spec("sklearn") is None:
        sys.exit(f"{p.prog}: needs scikit-learn, which the extra 'sklearn' brings: pip install '.[sklearn]'")
    import joblib
    from sklearn.metrics import confusion_matrix, log_loss

    (x, y), (x_test, y_test) = load_digits(args.data, args.limit)
    x, x_test = (images.reshape(len(images), -1).astype(np.float32) for images in (x, x_test))
    kept = len(x) // 10  # for the calibration
    if np.bincount(y[:kept], minlength=1).max() < 5:
        p.error(f"--limit must leave a digit five times among a tenth of the images, to calibrate, got {len(x)}")
    found = search(args.epochs, args.seed).fit(x[kept:], y[kept:])
    for parameters, score in zip(found.cv_results_["params"], found.cv_results_["mean_test_score"]):
        gamma = "roots" if parameters["gamma__func"] else "as they are"
        print(f"pixels {gamma:<11}  lr {parameters['network__lr']:<5}  {score:.2%} in cross-validation")
    best = found.best_estimator_
    print(f"best: test accuracy {best.score(x_test, y_test):.2%}")

    calibrated = calibrate(best, x[:kept], y[:kept])
    before, after = best.predict_proba(x_test), calibrated.predict_proba(x_test)
    print(f"log loss {log_loss(y_test, before):.4f}, calibrated {log_loss(y_test, after):.4f}")
    lines = {"as trained": reliability(before, y_test), "calibrated": reliability(after, y_test)}
    figure = plots.lines_figure(lines, "from unsure to sure answers", "share of right answers", "calibration")
    save(figure, args.out / "calibration.png")
    save(plots.confusion_figure(confusion_matrix(y_test, best.predict(x_test))), args.out / "confusion.png")

    joblib.dump(best, args.out / "pipeline.joblib")
    again = joblib.load(args.out / "pipeline.joblib")
    print(
        f"saved and loaded: {(again.predict_proba(x_test) == before).mean():.2%} of the probabilities are the same bits"
    )
    print(exported(best[-1], args.out / "network.onnx", best[:-1].transform(x_test)))


if __name__ == "__main__":
    main()
