"""Benchmark folders as samples: picture, instruction, truth; read when asked for."""

from fiducial.datasets.layout import Layout, LayoutError
from fiducial.datasets.listing import Listing
from fiducial.datasets.opening import DATASETS, LAYOUTS, open_dataset, recognise
from fiducial.datasets.sample import Dataset, Sample, sample_ids

__all__ = [
    "DATASETS",
    "LAYOUTS",
    "Dataset",
    "Layout",
    "LayoutError",
    "Listing",
    "Sample",
    "open_dataset",
    "recognise",
    "sample_ids",
]
