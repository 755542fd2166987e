"""Benchmark folders as samples: picture, instruction, truth; read when asked for."""

from fiducial.datasets.configs import DatasetConfig
from fiducial.datasets.files import LayoutError
from fiducial.datasets.opening import describe_dataset, layouts, open_dataset, recognise
from fiducial.datasets.sample import Dataset, Listing, Sample, sample_ids

__all__ = [
    "Dataset",
    "DatasetConfig",
    "LayoutError",
    "Listing",
    "Sample",
    "describe_dataset",
    "layouts",
    "open_dataset",
    "recognise",
    "sample_ids",
]
