"""A labelled volume as a dataset: NIfTI files whose slices are the pictures, one mask per label in each.

Slices are seen the way scans are read (:mod:`fiducial.volumes.planes`, radiological), and counted along the closest
RAS+ axis, from the patient's left, back and feet, whichever way the file stores them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from fiducial.datasets import LayoutError, Listing, Sample
from fiducial.datasets.files import choose_splits
from fiducial.errors import InputError
from fiducial.geometry import Mask
from fiducial.volumes.dataset_configs import VolumeConfig
from fiducial.volumes.planes import PLANES, Plane, Slicing
from fiducial.volumes.volume import LabelMap, Volume
from fiducial.volumes.windows import PERCENTILES, Window

EXPECTED = """
folder/
  image.nii.gz                or image.nii: one 3D volume
  labels.nii.gz               or labels.nii: whole numbers on the same grid, 0 is background
  labels.json                 {"1": "spleen", ...} or {"1": {"name": "spleen"}, ...}
"""


def open_volume(config: VolumeConfig) -> Listing:
    """Open a labelled volume as a dataset of its slices.

    Each slice with a label is one sample: its instances are the labels in it, one mask each, in the order of their
    numbers. Opening reads the files, and what they hold stays in memory. Pictures are grey. ``meta`` names the volume,
    the plane, the slice's index along the RAS+ axis and the spacing [row, column] in millimetres.

    Raises:
        LayoutError: a file is missing.
        InputError: files that cannot be read, lie on different grids, hold labels without names, or none at all.
    """
    root, plane = config.path, config.plane
    choose_splits([""], config.split, root)
    volume = _Labelled(_found(root), config.window)
    planes: tuple[Plane, ...] = PLANES if plane == "all" else (plane,)
    slices = [(one, *place) for one in planes for place in volume.labelled_slices(one, config.min_area)]
    if not slices:
        raise InputError(f"{root}: no {plane} slice has a label of at least {config.min_area} pixels")
    rows = ((f"{one}-{index:03d}", partial(volume.sample, one, index, numbers)) for one, index, numbers in slices)
    return Listing("volume", root, rows)


def is_volume(root: Path) -> bool:
    """Say whether both NIfTI files are there."""
    return root.is_dir() and all(_nifti(root, stem) is not None for stem in ("image", "labels"))


class _Labelled:
    """A scan and its labels on one grid."""

    def __init__(self, paths: tuple[Path, Path, Path], window: Window | None) -> None:
        path, labels_path, names_path = paths
        self._name, self._given = path.parent.name, window
        self._path = path
        # Percentiles are what a dataset shows where no window is given, so that it does not matter what it is of.
        self._volume = Volume.read(path, modality="")
        self._labels = LabelMap.read(labels_path, names_path).on_grid_of(self._volume)
        unnamed = sorted(set(np.unique(self._labels.array).tolist()) - {0} - set(self._labels.names))
        if unnamed:
            some = ", ".join(map(str, unnamed[:8]))
            raise InputError(f"{names_path}: no name for label {some} of {labels_path.name}")

    @cached_property
    def window(self) -> Window:
        """The values that are shown as black and white."""
        if self._given is not None:
            return self._given
        finite = self._volume.array[np.isfinite(self._volume.array)]
        if not finite.size:
            raise InputError(f"{self._path}: no voxel has a finite value")
        low, high = (float(value) for value in np.percentile(finite, PERCENTILES))
        if low >= high:
            raise InputError(f"{self._path}: nearly all voxels have the value {low:g}: say window=low,high")
        return low, high

    def labelled_slices(self, plane: Plane, min_area: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Find the slices with labels of enough pixels: index along the RAS+ axis and those labels' numbers."""
        slicing = self._volume.slicing(plane)
        for index in range(slicing.count):
            piece = slicing.slice(self._labels.array, _stored(slicing, index))
            numbers, counts = np.unique(piece[piece > 0], return_counts=True)
            kept = tuple(numbers[counts >= min_area].tolist())
            if kept:
                yield index, kept

    def sample(self, plane: Plane, index: int, numbers: tuple[int, ...], key: str) -> Sample:
        """Make the sample of a slice."""
        slicing = self._volume.slicing(plane)
        labels = slicing.slice(self._labels.array, _stored(slicing, index))
        across, down, _ = (round(float(size), 6) for size in slicing.spacing)
        picture = self._volume.picture(slicing, _stored(slicing, index), self.window)
        return Sample(
            id=key,
            image_path=None,
            picture=replace(picture, name=f"{self._name}-{key}"),
            instruction="all objects",
            instances=tuple(Mask.from_dense(labels == number) for number in numbers),
            size=(int(labels.shape[0]), int(labels.shape[1])),
            labels=tuple(self._labels.name_of(number) for number in numbers),
            meta={"volume": self._name, "plane": plane, "index": index, "spacing": [down, across]},
        )


def _stored(slicing: Slicing, index: int) -> int:
    """Turn a slice's index along the RAS+ axis into that along the storage axis, or back."""
    return index if slicing.directions.index in "RAS" else slicing.count - 1 - index


def _found(root: Path) -> tuple[Path, Path, Path]:
    image, labels, names = _nifti(root, "image"), _nifti(root, "labels"), root / "labels.json"
    if image and labels and names.is_file():
        return image, labels, names
    there = {"image.nii.gz": image, "labels.nii.gz": labels, "labels.json": names.is_file()}
    lost = [name for name, here in there.items() if not here]
    raise LayoutError(root, "volume", EXPECTED, f"{' and '.join(lost)} missing")


def _nifti(root: Path, stem: str) -> Path | None:
    return next((path for suffix in (".nii.gz", ".nii") if (path := root / f"{stem}{suffix}").is_file()), None)
