"""Writing volumes and label maps: each file is read back and compared in mm before it takes its name."""

from __future__ import annotations

import gzip
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fiducial.errors import InputError
from fiducial.files import json_text, make_folder, write_atomically
from fiducial.volumes.affines import apart, is_orthogonal, nibabel
from fiducial.volumes.dicom_seg import segmentation_of, segments_in
from fiducial.volumes.nifti import is_nifti, read_nifti
from fiducial.volumes.reading import stem_of
from fiducial.volumes.regions import Point, find_regions
from fiducial.volumes.volume import LabelMap, Volume

MOST_MOVED_MM = 1e-3
"""A centroid that is read back has to lie this close to what was written."""

Found = Mapping[int, tuple[int, Point]]
"""Voxels and centroid (RAS+ mm) by label."""


def write_label_map(labels: LabelMap, path: str | Path, volume: Volume | None = None) -> Path:
    """Write a label map; see :meth:`fiducial.volumes.LabelMap.write`."""
    path = Path(path)
    make_folder(path.parent)
    if is_nifti(path):
        written = _placed(
            path, lambda hidden: _write_nifti(labels, hidden), lambda hidden: compare(labels, _read_nifti(hidden), path)
        )
        names = {str(label): labels.name_of(label) for label in labels.regions}
        write_atomically(path.with_name(f"{stem_of(path)}.json"), json_text(names))
        return written
    if path.suffix.lower() != ".dcm":
        raise InputError(f"{path}: label maps are written as .nii, .nii.gz or, as a DICOM segmentation, .dcm")
    if volume is None or not volume.files:
        raise InputError(f"{path}: a DICOM segmentation is about a DICOM series: the volume has to be read from one")
    labels = labels.on_grid_of(volume)
    made = segmentation_of(labels, volume)
    # DICOM counts segments from 1 without gaps: the order of the labels' numbers stays, and so do the names.
    numbers = dict(enumerate(labels.regions, start=1))
    return _placed(path, made.save_as, lambda hidden: compare(labels, _renamed(segments_in(hidden), numbers), path))


def write_volume(volume: Volume, path: str | Path) -> Path:
    """Write a volume; see :meth:`fiducial.volumes.Volume.write`."""
    path = Path(path)
    make_folder(path.parent)
    if not is_nifti(path):
        raise InputError(f"{path}: volumes are written as .nii or .nii.gz")

    def check(hidden: Path) -> None:
        found = read_nifti(hidden)
        if not np.array_equal(found.array, volume.array, equal_nan=volume.array.dtype.kind == "f"):
            raise InputError(f"{path}: read back, it holds other values than were written: the file is not kept")
        if (moved := apart(volume.shape, volume.affine, found.affine)) >= MOST_MOVED_MM:
            raise InputError(f"{path}: read back, its voxels lie {moved:.3g} mm away: the file is not kept")

    return _placed(path, lambda hidden: _write_nifti(volume, hidden), check)


def compare(labels: LabelMap, found: Found, path: Path) -> None:
    """Raise InputError unless what was read back covers the same voxels in the same places.

    Args:
        labels: what was to be written.
        found: voxels and centroid by label, as read back.
        path: the file, for the error.
    """
    regions = labels.regions
    if set(found) != set(regions):
        raise InputError(f"{path}: read back, it holds labels {sorted(found)}, {sorted(regions)} were written")
    for label, region in regions.items():
        voxels, centroid = found[label]
        moved = float(np.linalg.norm(np.subtract(centroid, region.centroid)))
        if voxels != region.voxels or not moved < MOST_MOVED_MM:
            raise InputError(
                f"{path}: read back, {region.name} has {voxels:,} voxels around "
                f"({', '.join(f'{one:.3f}' for one in centroid)}) mm, but {region.voxels:,} around "
                f"({', '.join(f'{one:.3f}' for one in region.centroid)}) mm were written: the file is not kept"
            )


def _placed(path: Path, write: Callable[[Path], Any], check: Callable[[Path], None]) -> Path:
    """Write to a hidden file in the same folder, check it, and give it its name only then."""
    hidden = path.with_name(f".{secrets.token_hex(8)}.{path.name}")
    try:
        write(hidden)
        check(hidden)
        with open(hidden, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(hidden, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        hidden.unlink(missing_ok=True)
    return path


def _write_nifti(given: LabelMap | Volume, path: Path) -> None:
    array = given.array.astype(np.uint8) if given.array.dtype == np.bool_ else given.array
    image = nibabel("a NIfTI file").Nifti1Image(array, given.affine, dtype=array.dtype)
    image.set_sform(given.affine, code="scanner")
    # A quaternion holds no shear: where there is one, the other matrix alone says where the voxels lie.
    image.set_qform(given.affine, code="scanner" if is_orthogonal(given.affine) else 0, strip_shears=True)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = f"fiducial {given.name}".encode("ascii", "replace")[:79]
    with open(path, "wb") as raw:
        if path.name.endswith(".gz"):
            with gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw, mtime=0) as packed:
                image.to_stream(packed)
        else:
            image.to_stream(raw)


def _read_nifti(path: Path) -> Found:
    found = read_nifti(path)
    return {
        label: (region.voxels, region.centroid) for label, region in find_regions(found.array, found.affine, {}).items()
    }


def _renamed(found: Found, numbers: Mapping[int, int]) -> Found:
    return {numbers.get(number, -number): value for number, value in found.items()}
