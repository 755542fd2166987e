"""Reading volumes and label maps: which reader a path is for, which modality, which names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError
from fiducial.files import read_json
from fiducial.volumes.dicom import read_series
from fiducial.volumes.nifti import is_nifti, read_nifti
from fiducial.volumes.volume import LabelMap, Modality, Volume
from fiducial.volumes.windows import sampled

_LOOKED_AT = 8
_AIR = -900.0  # a scan whose values reach below is in Hounsfield units


def read_volume(path: str | Path | Sequence[str | Path], modality: Modality | None, orientation: str | None) -> Volume:
    """Read a volume; see :meth:`fiducial.volumes.Volume.read`."""
    if isinstance(path, (str, Path)) and is_nifti(Path(path)):
        return _from_nifti(Path(path), modality, orientation)
    if orientation is not None:
        raise InputError(f"{path}: orientation is for NIfTI files; DICOM files say where their voxels lie")
    if isinstance(path, (str, Path)):
        place = Path(path)
        if not place.exists():
            raise InputError(f"{path}: no such file or folder")
        given: Path | list[Path] = place if place.is_dir() else [place]
    else:
        given = [Path(one) for one in path]
    series = read_series(given)
    known: Modality = {"CT": "CT", "MR": "MR"}.get(series.modality, "")  # type: ignore[assignment]
    name = given.name if isinstance(given, Path) else stem_of(given[0])
    return Volume(series.array, series.affine, modality or known, name, series.notes, series.files)


def is_volume(path: Path) -> bool:
    """Say whether a path is that of a volume: a NIfTI file, a DICOM file, or a folder that holds DICOM files."""
    if is_nifti(path):
        return True
    if os.path.isdir(path):  # Path.is_dir raises where it may not look
        try:
            inside = (one for one in sorted(path.iterdir()) if one.is_file() and not one.name.startswith("."))
            return any(_is_dicom(one) for one in islice(inside, _LOOKED_AT))
        except OSError:
            return False
    return os.path.isfile(path) and _is_dicom(path)


def _is_dicom(path: Path) -> bool:
    """Say whether a file begins as DICOM files do: 128 bytes of anything, then DICM."""
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_label_map(path: str | Path, names: Mapping[int, str] | str | Path | None, orientation: str | None) -> LabelMap:
    """Read a label map; see :meth:`fiducial.volumes.LabelMap.read`."""
    path = Path(path)
    if not is_nifti(path):
        raise InputError(f"{path}: a .nii or .nii.gz file is expected")
    found = read_nifti(path, orientation)
    known = _names(path, names)
    return LabelMap(_whole(found.array, path), found.affine, known, stem_of(path))


def _from_nifti(path: Path, modality: Modality | None, orientation: str | None) -> Volume:
    found = read_nifti(path, orientation)
    notes = found.notes
    if modality is None:
        modality, why = _guessed(found.array)
        notes = (*notes, why)
    return Volume(found.array, found.affine, modality, stem_of(path), notes)


def stem_of(path: Path) -> str:
    """Return a file's name without what says its format; folders keep theirs."""
    name = path.name
    for ending in (".gz", ".nii", ".dcm"):
        name = name[: -len(ending)] if name.lower().endswith(ending) else name
    return name or "volume"


def _names(path: Path, names: Mapping[int, str] | str | Path | None) -> Mapping[int, str]:
    if isinstance(names, (str, Path)):
        return read_names(Path(names))
    if names is not None:
        return names
    beside = (path.with_name(f"{stem_of(path)}.json"), path.with_name("labels.json"))
    there = next((one for one in beside if one.is_file()), None)
    return read_names(there) if there else {}


def _guessed(array: NDArray[Any]) -> tuple[Modality, str]:
    values = sampled(array)
    if values.size and values.min() <= _AIR and array.dtype.kind in "if":
        return "CT", f"taken for CT, as its values reach {values.min():g}: say modality=MR if it is not"
    return "", "the modality is not known: windows are percentiles; say modality=CT or MR"


def _whole(values: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return labels in the smallest unsigned type that holds them."""
    high = check_labels(values, path).max()
    kind = next(one for one in (np.uint8, np.uint16, np.int32) if high <= np.iinfo(one).max)
    return values.astype(kind, copy=False)


def check_labels(values: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return labels as they are, if they are whole numbers in 0..2147483647.

    Raises:
        InputError: they are not.
    """
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise InputError(f"{path}: labels are whole numbers, but there are others")
    if values.min() < 0 or values.max() >= 2**31:
        raise InputError(f"{path}: labels lie in 0..2147483647, got {values.min():g}..{values.max():g}")
    return values


def read_names(path: Path) -> dict[int, str]:
    """Read ``{"1": "liver"}`` or ``{"1": {"name": "liver"}}``; what it says about 0, the background, is left out.

    Raises:
        InputError: missing, or another form.
    """
    names = {}
    for key, entry in read_json(path, kind=dict).items():
        name = entry.get("name") if isinstance(entry, dict) else entry
        if not (key.isascii() and key.isdigit()) or not isinstance(name, str) or not name.strip():
            raise InputError(f"{path}: a label's number with its name is expected, got {key!r}: {entry!r:.60}")
        if int(key) > 0:
            names[int(key)] = name.strip()
    return names
