"""minidl's networks as scikit-learn's estimators; needs the extra `sklearn`."""

from __future__ import annotations

try:
    import sklearn as _sklearn  # noqa: F401 - to say what is missing
except ImportError as error:
    raise ImportError("minidl.sklearn needs scikit-learn: pip install 'minidl[sklearn]'") from error

from minidl.sklearn.classifier import ConvNetClassifier
from minidl.sklearn.regressor import ConvNetRegressor
from minidl.sklearn.transformer import ConvNetTransformer

__all__ = ["ConvNetClassifier", "ConvNetRegressor", "ConvNetTransformer"]
