"""Pictures of a training: arrays of what is shown (numpy alone), and figures that draw it (extra `plot`, matplotlib).

Figures are made without pyplot: no display is needed and no global state is touched. A notebook shows a figure that is
the last value of a cell. Images are (N, C, H, W) as everywhere; (N, H, W, C) is taken where it can be nothing else, and
(N, H, W) in grey.
"""

from minidl.plots.arrays import (
    Histogram,
    Mistake,
    confusion_counts,
    feature_maps,
    histogram,
    image_grid,
    pictures,
    probabilities,
    to_unit,
    worst_mistakes,
)
from minidl.plots.augmentation import augmentation_figure, augmented_images
from minidl.plots.confusion import confusion_figure
from minidl.plots.curves import comparison_figure, curves_figure, lines_figure
from minidl.plots.figures import feature_maps_figure, histograms_figure, images_figure, mistakes_figure
from minidl.plots.filters import filters_figure
from minidl.plots.graph import graph_figure
from minidl.plots.lr_range import range_test_figure
from minidl.plots.overview import overview_figure
from minidl.plots.patches import Patches, patches_figure, strongest_patches
from minidl.plots.prediction import prediction_figure
from minidl.plots.report import Pictures, save_report
from minidl.plots.strips import strips_figure

__all__ = [
    "Histogram",
    "Mistake",
    "Patches",
    "Pictures",
    "augmentation_figure",
    "augmented_images",
    "comparison_figure",
    "confusion_counts",
    "confusion_figure",
    "curves_figure",
    "feature_maps",
    "feature_maps_figure",
    "filters_figure",
    "graph_figure",
    "histogram",
    "histograms_figure",
    "image_grid",
    "images_figure",
    "lines_figure",
    "mistakes_figure",
    "overview_figure",
    "patches_figure",
    "pictures",
    "prediction_figure",
    "probabilities",
    "range_test_figure",
    "save_report",
    "strips_figure",
    "strongest_patches",
    "to_unit",
    "worst_mistakes",
]
