"""DICOM segmentations: made by highdicom, read back frame by frame from each frame's own position.

Reading back uses none of what highdicom knows of geometry: a frame's place follows from its Plane Position, Plane
Orientation and Pixel Measures alone (DICOM PS3.3, C.7.6.16.2), so that a mistake in one is seen by the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError
from fiducial.provenance import versions
from fiducial.volumes.affines import LPS
from fiducial.volumes.dicom import dicom_package, read_header
from fiducial.volumes.regions import Point
from fiducial.volumes.volume import LabelMap, Volume


def segmentation_of(labels: LabelMap, volume: Volume) -> Any:
    """Make a DICOM segmentation: one binary segment per label that is there, about the series a volume was read from.

    Patient and study are taken over from the series, as the standard wants it; nothing else is.

    Args:
        labels: on the grid of the volume.
        volume: read from a DICOM series.

    Raises:
        InputError: no label is there, or the series lacks what a segmentation of it has to repeat.
    """
    highdicom = dicom_package("highdicom")
    codes = dicom_package("pydicom.sr.codedict").codes
    release = versions()["fiducial"] or "unknown"
    if not labels.regions:
        raise InputError(f"{labels.name}: nothing is labelled, and DICOM knows no empty segmentation")
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="fiducial", version=release, family=codes.DCM.ArtificialIntelligence
    )
    descriptions = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=labels.name_of(label)[:64],
            segmented_property_category=codes.SCT.Tissue,  # what is said of tissue that has no code of its own
            segmented_property_type=codes.SCT.Tissue,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, label in enumerate(labels.regions, start=1)
    ]
    headers = [_with_identity(read_header(path)) for path in volume.files]
    try:
        return highdicom.seg.Segmentation(
            source_images=headers,
            pixel_array=_numbered(labels),
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=descriptions,
            series_instance_uid=highdicom.UID(),
            series_number=1000,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="fiducial",
            manufacturer_model_name="fiducial",
            software_versions=release,
            device_serial_number="0",
            content_label="SEGMENTATION",
        )
    except (AttributeError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{volume.name}: no segmentation of this series can be made ({error})") from error


def segments_in(path: Path) -> dict[int, tuple[int, Point]]:
    """Read a binary DICOM segmentation: the voxels and the centroid, in RAS+ mm, of each segment by its number."""
    dataset = dicom_package().dcmread(path)
    shared, size = dataset.SharedFunctionalGroupsSequence[0], (int(dataset.Rows), int(dataset.Columns))
    counts: dict[int, int] = {}
    sums: dict[int, NDArray[np.float64]] = {}
    for number, groups in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        frame = _frame(dataset.PixelData, number, size)
        segment = int(_group(groups, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)
        position = [float(value) for value in _group(groups, shared, "PlanePositionSequence").ImagePositionPatient]
        turned = _group(groups, shared, "PlaneOrientationSequence").ImageOrientationPatient
        row, column = np.array([float(value) for value in turned]).reshape(2, 3)
        down, right = (float(value) for value in _group(groups, shared, "PixelMeasuresSequence").PixelSpacing)
        lines, places = np.nonzero(frame)
        total = len(lines) * np.array(position) + places.sum() * right * row + lines.sum() * down * column
        counts[segment] = counts.get(segment, 0) + len(lines)
        sums[segment] = sums.get(segment, np.zeros(3)) + total
    return {segment: (count, _point(sums[segment] / count @ LPS[:3, :3])) for segment, count in counts.items() if count}


def _with_identity(header: Any) -> Any:
    """Fill in what anonymisers empty although the file's own head still says it."""
    for key, kept in (("SOPClassUID", "MediaStorageSOPClassUID"), ("SOPInstanceUID", "MediaStorageSOPInstanceUID")):
        if not header.get(key) and header.file_meta.get(kept):
            setattr(header, key, header.file_meta.get(kept))
    return header


def _frame(data: bytes, number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Unpack one frame of bits, of which the lowest comes first; frames need not begin with a byte (PS3.5, 8.1.1)."""
    start, end = number * size[0] * size[1], (number + 1) * size[0] * size[1]
    packed = np.frombuffer(data, np.uint8, count=-(-end // 8) - start // 8, offset=start // 8)
    bits = np.unpackbits(packed, bitorder="little")
    return bits[start % 8 :][: end - start].reshape(size)


def _group(groups: Any, shared: Any, name: str) -> Any:
    return (groups if name in groups else shared)[name][0]


def _numbered(labels: LabelMap) -> NDArray[Any]:
    """Return (slices, rows, columns) with the labels' places in their order, from 1, in place of their numbers."""
    there = np.array([0, *labels.regions])
    kind = np.uint8 if len(there) <= 256 else np.uint16
    return np.searchsorted(there, labels.array.transpose(2, 1, 0)).astype(kind)


def _point(values: NDArray[np.float64]) -> Point:
    x, y, z = (float(value) for value in values)
    return x, y, z
