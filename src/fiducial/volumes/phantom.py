"""A phantom: a torso with named organs on their sides, of known geometry, on any grid; no patient's data.

Organs are ellipsoids about where organs lie and about as large, in RAS+ millimetres around a point in front of the
first lumbar vertebra. It is for demonstrations and tests of geometry, not for learning anatomy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError
from fiducial.volumes.affines import make_affine, read_axes
from fiducial.volumes.volume import LabelMap, Volume


@dataclass(frozen=True, slots=True)
class Organ:
    """An ellipsoid: centre (right, anterior, superior) and half axes in mm, and its values in CT and MR."""

    name: str
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    ct: float
    mr: float


class Phantom(NamedTuple):
    """A scan and what is where in it."""

    volume: Volume
    label_map: LabelMap


ORGANS = (
    Organ("lung_right", (78, -5, 130), (58, 72, 62), -820, 30),
    Organ("lung_left", (-78, -5, 130), (54, 72, 62), -820, 30),
    Organ("heart", (-18, 30, 118), (46, 42, 38), 150, 260),
    Organ("liver", (72, 12, 52), (72, 68, 46), 110, 420),
    Organ("stomach", (-52, 34, 48), (36, 32, 38), 30, 180),
    Organ("spleen", (-108, -34, 52), (24, 36, 40), 130, 360),
    Organ("pancreas", (-12, 22, 8), (46, 11, 12), 90, 480),
    Organ("gallbladder", (56, 50, 2), (13, 15, 18), 8, 900),
    Organ("vertebrae_T10", (0, -68, 92), (20, 18, 12), 380, 300),
    Organ("vertebrae_T11", (0, -66, 62), (20, 18, 12), 380, 300),
    Organ("vertebrae_T12", (0, -64, 32), (21, 18, 12), 380, 300),
    Organ("vertebrae_L1", (0, -62, 2), (22, 18, 12), 380, 300),
    Organ("vertebrae_L2", (0, -60, -28), (23, 19, 12), 380, 300),
    Organ("vertebrae_L3", (0, -60, -58), (24, 19, 12), 380, 300),
    Organ("aorta", (-12, -32, 20), (9, 9, 110), 210, 60),
    Organ("inferior_vena_cava", (16, -30, -10), (10, 9, 80), 160, 90),
    Organ("kidney_right", (64, -48, -14), (24, 22, 44), 190, 620),
    Organ("kidney_left", (-66, -48, 0), (24, 22, 44), 190, 620),
    Organ("urinary_bladder", (0, 38, -108), (36, 28, 22), 6, 980),
)
TUMOUR = Organ("tumour", (92, 22, 56), (17, 16, 15), 235, 1000)
_FAT = Organ("fat", (0, 0, 0), (165, 112, math.inf), -100, 700)
_MUSCLE = Organ("muscle", (0, 0, 0), (150, 98, math.inf), 50, 200)
_AIR = -1000
_MIDDLE = (0.0, 0.0, 20.0)
_FIELD = (344.0, 240.0, 310.0)  # mm that the grid covers along right, anterior, superior
_NOISE = {"CT": 12.0, "MR": 16.0}


def make_phantom(
    *,
    modality: Literal["CT", "MR"] = "CT",
    spacing: tuple[float, float, float] = (4.0, 4.0, 5.0),
    axes: str = "RAS",
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0),
    tumour: bool = True,
    seed: int = 0,
) -> Phantom:
    """Make a torso with labelled organs.

    Args:
        modality: the values are like those of CT (Hounsfield units, air -1000) or of a fat- and water-bright MR.
        spacing: mm along the storage axes.
        axes: how the storage axes run before the rotation, such as ``"LPS"``.
        rotation: degrees about the patient's right, anterior and superior axes: an oblique grid. The patient stays.
        tumour: put a bright lesion into the liver, with a label of its own.
        seed: moves and stretches the organs a little, and draws the noise.

    Example:
        >>> phantom = make_phantom(axes="LPS", rotation=(0, 0, 12))
        >>> regions = {one.name: one for one in phantom.label_map.regions.values()}
        >>> regions["liver"].centroid[0] > 0 > regions["spleen"].centroid[0]  # on the patient's right and left
        True
    """
    if min(spacing) <= 0:
        raise InputError(f"a phantom needs positive spacing, got {spacing}")
    rng = np.random.default_rng(seed)
    sizes = _shape(spacing, axes)
    affine = make_affine(sizes, spacing, axes, rotation, _MIDDLE)
    organs = tuple(_varied(organ, rng) for organ in ORGANS + ((TUMOUR,) if tumour else ()))
    places = np.einsum("ac,cxyz->axyz", affine[:3, :3], np.indices(sizes)).astype(np.float32)
    places += affine[:3, 3].astype(np.float32)[:, None, None, None]
    values = _body(places, modality)
    labels = np.zeros(sizes, dtype=np.uint8)
    for number, organ in enumerate(organs, start=1):
        inside = _inside(places, organ)
        labels[inside] = number
        values[inside] = organ.ct if modality == "CT" else organ.mr
    values += rng.normal(0, _NOISE[modality], sizes).astype(np.float32)
    array = np.rint(values).clip(-1024 if modality == "CT" else 0, 3071).astype(np.int16)
    name = f"phantom-{modality.lower()}"
    names = {number: organ.name for number, organ in enumerate(organs, start=1)}
    return Phantom(
        Volume(array, affine, modality, name, notes=("a made phantom, no patient",)),
        LabelMap(labels, affine, names, f"{name}-labels"),
    )


def _shape(spacing: tuple[float, float, float], axes: str) -> tuple[int, int, int]:
    x, y, z = (max(2, round(_FIELD[axis] / spacing[n])) for n, (axis, _) in enumerate(read_axes(axes)))
    return x, y, z


def _varied(organ: Organ, rng: np.random.Generator) -> Organ:
    """Move an organ by up to 3 mm and stretch it by up to 5 %: neither side nor order changes."""
    x, y, z = (float(value) for value in np.asarray(organ.centre) + rng.uniform(-3, 3, 3))
    a, b, c = (float(value) for value in np.asarray(organ.radii) * rng.uniform(0.95, 1.05, 3))
    return Organ(organ.name, (x, y, z), (a, b, c), organ.ct, organ.mr)


def _body(places: NDArray[np.float32], modality: str) -> NDArray[np.float32]:
    """Lay muscle into fat into air; the body is as long as the field of view."""
    values = np.full(places.shape[1:], _AIR if modality == "CT" else 0, dtype=np.float32)
    for layer in (_FAT, _MUSCLE):
        values[_inside(places, layer)] = layer.ct if modality == "CT" else layer.mr
    return values


def _inside(places: NDArray[np.float32], organ: Organ) -> NDArray[np.bool_]:
    """Say which places (3, X, Y, Z) in mm lie in an ellipsoid; a half axis of infinity makes it a cylinder."""
    reach = np.zeros(places.shape[1:], dtype=np.float32)
    for axis in range(3):
        reach += np.square((places[axis] - organ.centre[axis]) / organ.radii[axis])
    return np.asarray(reach < 1)
