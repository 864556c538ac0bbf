"""Pictures of a training: `arrays` computes what is shown (numpy alone), `figures` draws it (extra `plot`, matplotlib).

Figures are made without pyplot: no display is needed and no global state is touched.
"""

from minidl.plots.arrays import (
    Histogram,
    Mistake,
    confusion_counts,
    feature_maps,
    histogram,
    image_grid,
    probabilities,
    to_unit,
    worst_mistakes,
)
from minidl.plots.augmentation import augmentation_figure, augmented_images
from minidl.plots.figures import (
    comparison_figure,
    confusion_figure,
    curves_figure,
    feature_maps_figure,
    filters_figure,
    histograms_figure,
    images_figure,
    lines_figure,
    mistakes_figure,
)
from minidl.plots.lr_range import range_test_figure
from minidl.plots.report import save_report
from minidl.plots.strips import strips_figure

__all__ = [
    "Histogram",
    "Mistake",
    "augmentation_figure",
    "augmented_images",
    "comparison_figure",
    "confusion_counts",
    "confusion_figure",
    "curves_figure",
    "feature_maps",
    "feature_maps_figure",
    "filters_figure",
    "histogram",
    "histograms_figure",
    "image_grid",
    "images_figure",
    "lines_figure",
    "mistakes_figure",
    "probabilities",
    "range_test_figure",
    "save_report",
    "strips_figure",
    "to_unit",
    "worst_mistakes",
]
