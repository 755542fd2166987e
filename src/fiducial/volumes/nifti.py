"""Reading NIfTI: the header is checked before anything is unpacked, and orientation is never guessed."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError
from fiducial.volumes.affines import Affine, apart, axis_codes, check_affine, make_affine, nibabel

MAX_BYTES = 2**31
"""Most bytes of voxels that are unpacked: 1,000 slices of 512 x 512 fit in, in whatever type."""

_MAX_HEADER = 2**20  # extensions between header and voxels
_SAME_MM = 1.0  # scanner and standard matrices that differ by less say the same
_UNITS = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}


@dataclass(frozen=True, slots=True, eq=False)
class Nifti:
    """What a NIfTI file holds: values (X, Y, Z), affine, description, and what reading had to decide."""

    array: NDArray[Any]
    affine: Affine
    description: str
    notes: tuple[str, ...]


def is_nifti(path: Path) -> bool:
    """Say whether a name is that of a NIfTI file."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def read_nifti(path: Path, orientation: str | None = None) -> Nifti:
    """Read one volume; ``orientation`` as for :meth:`fiducial.volumes.Volume.read`.

    Raises:
        InputError: missing, broken, cut off, several volumes, too large, or nothing says where the voxels lie.
    """
    _check_start(path)
    package = nibabel("a NIfTI file")
    broken = (
        package.filebasedimages.ImageFileError,
        package.spatialimages.HeaderDataError,
        package.wrapstruct.WrapStructError,
    )
    try:
        image = package.load(path, mmap=False)
    except (*broken, OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: not a readable NIfTI file ({error})") from None
    shape = image.shape
    if len(shape) < 3 or any(size != 1 for size in shape[3:]) or 0 in shape:
        raise InputError(
            f"{path}: one volume with three axes is expected, got shape {shape}"
            + (": cut one volume out first, as nibabel's four_to_three does" if len(shape) > 3 else "")
        )
    kind = image.get_data_dtype()
    if kind.kind not in "iuf":
        raise InputError(f"{path}: one real number per voxel is expected, got {kind}")
    if (size := math.prod(shape) * kind.itemsize) > MAX_BYTES:
        raise InputError(f"{path}: {size / 2**30:.1f} GiB of voxels are more than the limit of {MAX_BYTES / 2**30:.0f}")
    affine, notes = _orientation(image, path, orientation)
    scale = _UNITS.get(image.header.get_xyzt_units()[0], 1.0)
    if scale != 1.0:
        affine = check_affine(np.diag([scale, scale, scale, 1.0]) @ affine, str(path))
        notes = (*notes, f"lengths in {image.header.get_xyzt_units()[0]}s became millimetres")
    description = bytes(image.header["descrip"]).split(b"\0")[0].decode("ascii", "replace")
    return Nifti(_values(image, path), affine, description, notes)


def _check_start(path: Path) -> None:
    """Refuse a file whose header sends the reader far into what it would have to unpack first."""
    try:
        with open(path, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else open(path, "rb") as file:
            start = file.read(540)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, not a NIfTI file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    for size, place, form in ((348, 108, "f"), (540, 168, "q")):
        for order in "<>":
            if len(start) >= size and struct.unpack_from(f"{order}i", start)[0] == size:
                offset = struct.unpack_from(order + form, start, place)[0]
                if not 0 <= offset <= _MAX_HEADER:
                    raise InputError(f"{path}: its voxels are said to begin at byte {offset:g}: not a plausible file")
                return
    raise InputError(f"{path}: not a readable NIfTI file (no header)")


def _orientation(image: Any, path: Path, wanted: str | None) -> tuple[Affine, tuple[str, ...]]:
    """Choose among the two matrices of a header; neither is an error, and so is a contradiction."""
    header = image.header
    known = {
        name: check_affine(matrix, f"{path}, {name}")
        for name, matrix in (("sform", header.get_sform(coded=True)[0]), ("qform", header.get_qform(coded=True)[0]))
        if matrix is not None
    }
    if wanted in ("sform", "qform"):
        if wanted not in known:
            raise InputError(f"{path}: it has no {wanted}")
        return known[wanted], (f"the {wanted} was taken, as asked",)
    if wanted is not None:
        if known:
            raise InputError(
                f"{path}: its header says where the voxels lie: orientation={wanted!r} is for those that do not"
            )
        affine = make_affine(image.shape[:3], header.get_zooms()[:3], wanted)
        return affine, (
            f"the header does not say where the voxels lie: axes {axis_codes(affine)} were taken, as asked",
        )
    if not known:
        raise InputError(
            f"{path}: nothing says where the voxels lie (sform and qform codes are 0): left and right cannot be told. "
            "If you know how the storage axes run, say orientation=LPS or the like"
        )
    if len(known) == 2:
        return _agreed(image.shape[:3], known, path)
    return next(iter(known.values())), ()


def _agreed(shape: Sequence[int], known: dict[str, Affine], path: Path) -> tuple[Affine, tuple[str, ...]]:
    codes = {name: axis_codes(affine) for name, affine in known.items()}
    if codes["sform"] != codes["qform"]:
        raise InputError(
            f"{path}: its two matrices contradict each other: by the sform the axes run {codes['sform']}, by the qform "
            f"{codes['qform']}: say orientation=sform or orientation=qform"
        )
    gap = apart(shape, known["sform"], known["qform"])
    notes = (f"sform and qform differ by up to {gap:.3g} mm: the sform was taken",) if gap > _SAME_MM else ()
    return known["sform"], notes


def _values(image: Any, path: Path) -> NDArray[Any]:
    """Read the voxels: in the type of the file where no scaling is asked for, else as float32 or whole numbers."""
    proxy = image.dataobj
    try:
        array = np.asarray(proxy.get_unscaled()).reshape(image.shape[:3], order="F")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: the voxels are broken or cut off ({error})") from None
    if array.dtype.byteorder not in "=|":
        array = array.astype(array.dtype.newbyteorder("="))
    slope, intercept = float(proxy.slope), float(proxy.inter)
    return rescaled(array, slope, intercept)


def rescaled(array: NDArray[Any], slope: float, intercept: float) -> NDArray[Any]:
    """Return ``array * slope + intercept``: whole numbers stay such where they can, others become float32."""
    if slope == 1 and intercept == 0:
        return array
    if array.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer():
        ends = [int(end) * int(slope) + int(intercept) for end in (array.min(), array.max())]
        kind = next(
            (one for one in (np.int16, np.int32) if all(np.iinfo(one).min <= e <= np.iinfo(one).max for e in ends)),
            None,
        )
        if kind is not None:
            whole: NDArray[Any] = array.astype(np.int32 if np.can_cast(array.dtype, np.int32) else np.int64)
            whole *= int(slope)
            whole += int(intercept)
            return whole.astype(kind, copy=False)
    scaled = array.astype(np.float32)
    scaled *= np.float32(slope)
    scaled += np.float32(intercept)
    return scaled
