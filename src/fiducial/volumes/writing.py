"""Writing label maps: each file is read back and each label's centroid in mm compared before it takes its name."""

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
from fiducial.volumes.affines import is_orthogonal, nibabel
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
        written = _placed(path, labels, lambda hidden: _write_nifti(labels, hidden), _read_nifti)
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
    return _placed(path, labels, made.save_as, lambda hidden: _renamed(segments_in(hidden), numbers))


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


def _placed(path: Path, labels: LabelMap, write: Callable[[Path], Any], read: Callable[[Path], Found]) -> Path:
    """Write to a hidden file in the same folder, check it, and give it its name only then."""
    hidden = path.with_name(f".{secrets.token_hex(8)}.{path.name}")
    try:
        write(hidden)
        compare(labels, read(hidden), path)
        with open(hidden, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(hidden, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        hidden.unlink(missing_ok=True)
    return path


def _write_nifti(labels: LabelMap, path: Path) -> None:
    image = nibabel("a NIfTI file").Nifti1Image(labels.array, labels.affine, dtype=labels.array.dtype)
    image.set_sform(labels.affine, code="scanner")
    # A quaternion holds no shear: where there is one, the other matrix alone says where the voxels lie.
    image.set_qform(labels.affine, code="scanner" if is_orthogonal(labels.affine) else 0, strip_shears=True)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"fiducial label map"
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
