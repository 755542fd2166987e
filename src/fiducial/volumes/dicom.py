"""Reading a DICOM series: sorted by position along the slices' normal, its geometry checked before any pixel is read.

Each file holds one slice. DICOM's patient coordinates are LPS+ mm; the affine is turned to RAS+. Column index i runs
along the row cosines by the second number of Pixel Spacing, row index j along the column cosines by the first
(DICOM PS3.3, C.7.6.2.1.1), and slice index k from the first to the last position.
"""

from __future__ import annotations

import contextlib
import importlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError, MissingExtraError
from fiducial.volumes.affines import LPS, Affine, check_affine
from fiducial.volumes.nifti import MAX_BYTES, rescaled

MAX_FILES = 20_000
_UNIT = 1e-3  # how far cosines may be from length 1 and from perpendicular
_OFF_MM = 0.1  # how far a slice may lie beside the line through the first and the last, and from its turn on it
_KEYS = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "Modality", "NumberOfFrames", "Rows",
    "Columns", "SamplesPerPixel", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
    "RescaleSlope", "RescaleIntercept", "AnatomicalOrientationType",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A series as a volume: values (X, Y, Z), RAS+ affine, DICOM's modality, files in order, what was decided."""

    array: NDArray[Any]
    affine: Affine
    modality: str
    files: tuple[Path, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    path: Path
    header: Any
    position: NDArray[np.float64]
    """LPS+ mm of the first pixel's centre"""


def read_series(given: Path | Sequence[Path]) -> Series:
    """Read a folder or a list of files as one volume.

    Raises:
        InputError: no DICOM files, several series or volumes, missing slices, cosines that make no frame, or voxels
            that cannot be unpacked.
    """
    where, paths = _listed(given)
    slices, notes = _headers(paths, where)
    _require_one_series(slices, where)
    row, column = _cosines(slices, where)
    normal = np.cross(row, column)
    slices = sorted(slices, key=lambda one: float(one.position @ normal))
    step, said = _step(slices, normal, where)
    affine = np.eye(4)
    down, right = (float(size) for size in slices[0].header.PixelSpacing)
    affine[:3, :3] = np.column_stack([row * right, column * down, step])
    affine[:3, 3] = slices[0].position
    return Series(
        _values(slices, where),
        check_affine(LPS @ affine, where),
        str(slices[0].header.get("Modality", "")),
        tuple(one.path for one in slices),
        (*notes, *said),
    )


def dicom_package(name: str = "pydicom") -> Any:
    """Import pydicom or highdicom.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError("DICOM", "volumes", str(error)) from error


def read_header(path: Path, tags: Sequence[str] | None = None) -> Any:
    """Read a DICOM file up to its pixels; None when it is no DICOM file.

    Raises:
        InputError: it cannot be read.
    """
    pydicom = dicom_package()
    try:
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=None if tags is None else list(tags))
    except pydicom.errors.InvalidDicomError:
        return None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, EOFError, ValueError, NotImplementedError) as error:
        raise InputError(f"{path}: cannot be read as DICOM ({error})") from None


def _listed(given: Path | Sequence[Path]) -> tuple[str, list[Path]]:
    if isinstance(given, Path):
        paths = sorted(path for path in given.iterdir() if path.is_file() and not path.name.startswith("."))
        where = str(given)
    else:
        paths, where = list(given), f"{given[0].parent} ({len(given)} files)" if given else "no files"
    if not paths:
        raise InputError(f"{where}: no files of a DICOM series")
    if len(paths) > MAX_FILES:
        raise InputError(f"{where}: {len(paths)} files are more than the limit of {MAX_FILES}")
    return where, paths


def _headers(paths: Iterable[Path], where: str) -> tuple[list[_Slice], tuple[str, ...]]:
    slices, others = [], []
    for path in paths:
        header = read_header(path, _KEYS)
        if header is None or "Rows" not in header:
            others.append(path.name)
        elif int(header.get("NumberOfFrames") or 1) > 1:
            raise InputError(
                f"{path}: a multi-frame file: write its frames as single files or as NIfTI (dcm2niix) first"
            )
        else:
            slices.append(_Slice(path, header, _numbers(header, "ImagePositionPatient", 3, path)))
    if not slices:
        raise InputError(f"{where}: no DICOM images among {len(others)} files")
    notes = (f"left out, as they are no DICOM images: {', '.join(others[:5])}",) if others else ()
    return slices, notes


def _numbers(header: Any, key: str, count: int, path: Path) -> NDArray[np.float64]:
    values = header.get(key)
    with contextlib.suppress(TypeError, ValueError):
        found = np.array([float(value) for value in values])
        if found.shape == (count,) and np.isfinite(found).all():
            return found
    raise InputError(f"{path}: its {key} is {values!r}: it does not say where the voxels lie")


def _require_one_series(slices: Sequence[_Slice], where: str) -> None:
    series = Counter(str(one.header.get("SeriesInstanceUID", "")) for one in slices)
    if len(series) > 1:
        numbers = {str(one.header.get("SeriesInstanceUID", "")): one.header.get("SeriesNumber", "?") for one in slices}
        said = ", ".join(f"number {numbers[uid]} with {count} files" for uid, count in series.most_common(6))
        raise InputError(
            f"{where}: {len(series)} series are mixed ({said}): give the files of one, or a folder of its own"
        )
    for key in ("Rows", "Columns", "SamplesPerPixel", "Modality", "PixelSpacing"):
        values = Counter(str(one.header.get(key)) for one in slices)
        if len(values) > 1:
            (common, _), *_ = values.most_common(1)
            odd = next(one.path.name for one in slices if str(one.header.get(key)) != common)
            raise InputError(f"{where}: {key} differs within the series ({odd}): these are not slices of one volume")
    header = slices[0].header
    if int(header.get("SamplesPerPixel", 1)) != 1:
        raise InputError(f"{slices[0].path}: one number per pixel is expected, got {header.SamplesPerPixel}")
    if str(header.get("AnatomicalOrientationType", "BIPED") or "BIPED") != "BIPED":
        raise InputError(f"{slices[0].path}: an animal (quadruped): its directions are not those of a patient")
    sizes = _numbers(header, "PixelSpacing", 2, slices[0].path)
    if sizes.min() <= 0:
        raise InputError(f"{slices[0].path}: its PixelSpacing is {sizes.tolist()}: distances are positive")


def _cosines(slices: Sequence[_Slice], where: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    found = np.stack([_numbers(one.header, "ImageOrientationPatient", 6, one.path) for one in slices])
    apart = np.abs(found - found[0]).max(axis=1)
    if apart.max() > _UNIT:
        odd = slices[int(apart.argmax())].path.name
        raise InputError(f"{where}: the orientation differs within the series ({odd}): a localiser, or several volumes")
    row, column = found[0, :3], found[0, 3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > _UNIT or abs(row @ column) > _UNIT:
        raise InputError(
            f"{slices[0].path}: its ImageOrientationPatient {found[0].tolist()} is no pair of perpendicular directions "
            "of length 1: it does not say where the voxels lie"
        )
    return row, column


def _step(
    slices: Sequence[_Slice], normal: NDArray[np.float64], where: str
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the way from one slice to the next, once all lie where it says."""
    if len(slices) == 1:
        thickness = float(slices[0].header.get("SliceThickness") or 1.0)
        return normal * thickness, (f"a single slice: its thickness, {thickness:g} mm, stands for the spacing",)
    places = np.stack([one.position for one in slices])
    gaps = np.diff(places @ normal)
    usual = float(np.median(gaps))
    if gaps.min() < 1e-3:
        one, other = (slices[int(gaps.argmin()) + more].path.name for more in (0, 1))
        raise InputError(
            f"{where}: {one} and {other} lie at the same place: several volumes in one series (times, echoes, phases): "
            "give the files of one"
        )
    worst = int(gaps.argmax())
    if gaps[worst] > 1.5 * usual:
        one, other = (slices[worst + more].path.name for more in (0, 1))
        raise InputError(
            f"{where}: slices are missing between {one} and {other}: {gaps[worst]:.4g} mm apart, others {usual:.4g} mm"
        )
    step = (places[-1] - places[0]) / (len(slices) - 1)
    off = np.linalg.norm(places - (places[0] + np.arange(len(slices))[:, None] * step), axis=1)
    if off.max() > _OFF_MM:
        odd = slices[int(off.argmax())].path.name
        raise InputError(
            f"{where}: the slices are not evenly spaced along one line: {odd} lies {off.max():.3g} mm from its turn"
        )
    tilt = float(np.degrees(np.arccos(min(1.0, step @ normal / np.linalg.norm(step)))))
    notes = (
        (f"the slices are sheared by {tilt:.2f} degrees (a tilted gantry): the affine says so",) if tilt > 0.1 else ()
    )
    return step, notes


def _values(slices: Sequence[_Slice], where: str) -> NDArray[Any]:
    """Read the pixels, one file at a time, into an array (X, Y, Z) of real-world values."""
    pydicom = dicom_package()
    first = slices[0].header
    shape = (len(slices), int(first.Rows), int(first.Columns))
    scales = {
        (float(one.header.get("RescaleSlope", 1) or 1), float(one.header.get("RescaleIntercept", 0) or 0))
        for one in slices
    }
    stack: NDArray[Any] | None = None
    for number, one in enumerate(slices):
        try:
            pixels = pydicom.dcmread(one.path).pixel_array
        except (AttributeError, OSError, EOFError, ValueError, RuntimeError, NotImplementedError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise InputError(
                f"{one.path}: its pixels are broken, cut off or packed in an unknown way ({reason})"
            ) from None
        if pixels.shape != shape[1:]:
            raise InputError(f"{one.path}: {shape[1]} x {shape[2]} pixels are expected, got {pixels.shape}")
        if len(scales) > 1:
            slope, intercept = one.header.get("RescaleSlope", 1) or 1, one.header.get("RescaleIntercept", 0) or 0
            pixels = pixels.astype(np.float32) * np.float32(slope) + np.float32(intercept)
        if stack is None:
            if (size := shape[0] * pixels.nbytes) > MAX_BYTES:
                raise InputError(f"{where}: {size / 2**30:.1f} GiB of voxels are more than {MAX_BYTES / 2**30:.0f}")
            stack = np.empty(shape, dtype=pixels.dtype)
        if not np.can_cast(pixels.dtype, stack.dtype):
            raise InputError(f"{one.path}: its pixels are {pixels.dtype}, those of the others {stack.dtype}")
        stack[number] = pixels
    assert stack is not None
    array = stack.transpose(2, 1, 0)
    return rescaled(array, *next(iter(scales))) if len(scales) == 1 else array
