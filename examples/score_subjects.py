"""Score what the default draws and finds in medical pictures, on patients and sequences that it was not trained on.

For each kind: the mean IoU of the network's own mask, and of what the segmenter cuts by its box; how many targets are
found at an IoU of 0.5; how many are missed as absent; false alarms on pictures without a target. DATA is the folder of
the third-party sets; what is held out is cut as in the joint model's training.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from fiducial import Image
from fiducial.datasets import Sample, open_dataset
from fiducial.datasets.splits import group_of, is_held_out
from fiducial.geometry import Mask, Prompt, Prompts
from fiducial.prompters.subjects.drawing import SubjectDetector
from fiducial.segmenters.nano import NanoSegmenter
from fiducial.volumes import LabelMap, Volume
from fiducial.volumes.viewing import Viewer

SOURCES = (  # title, folder, name, group, held-out part, field "target"
    ("polyps, Kvasir", "polyp_kvasir", "polyp", "group", 0.15, ""),
    ("polyps, CVC", "polyp_cvc", "polyp", "group", 0.15, ""),
    ("breast lesions", "breast_us_busi", "breast lesion", "group", 0.25, ""),
    ("skin lesions", "dermoscopy_ph2", "skin lesion", "group", 0.2, ""),
    ("both lungs, JSRT", "cxr_jsrt", "lung", "group", 0.15, "lung"),
    ("left lung", "cxr_jsrt", "left lung", "group", 0.15, "left lung"),
    ("right lung", "cxr_jsrt", "right lung", "group", 0.15, "right lung"),
    ("heart", "cxr_jsrt", "heart", "group", 0.15, "heart"),
    ("both lungs, Shenzhen and Montgomery", "cxr_shenzhen_montgomery", "lung", "group", 0.15, ""),
    ("tumours, composite", "brain_mri_lgg", "tumour", "patient", 0.15, ""),
    ("tumours, composite, further slices", "brain_mri_lgg_more", "tumour", "patient", 0.15, ""),
)
FEWEST = 300
"""Pixels of tumour from which a BraTS slice counts."""


def main() -> None:
    """Print one row per source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the third-party sets")
    parser.add_argument("--model", default="cg-reasoner-nano", help="the package's own, or the folder of a joint model")
    parser.add_argument("--limit", type=int, default=40, help="pictures of each source, evenly spread")
    arguments = parser.parse_args()
    detector = SubjectDetector.from_pretrained(arguments.model, "cpu")
    # whole masks of everything, whatever the answer would be, so that presence can be told apart from the mask
    thresholds = {one.name: one.presence for one in detector.subjects}
    detector.subjects = tuple(replace(one, presence=1e-6, apart=False, draws=True) for one in detector.subjects)
    segmenter = NanoSegmenter.from_pretrained(device="cpu")
    print("| | targets | own mask | cut by its box | found at 0.5: own, cut | taken for absent | false alarms |")
    print("|---|---|---|---|---|---|---|")
    for title, name, pairs in tests(arguments.data, arguments.limit):
        print(row(title, name, pairs, detector, segmenter, thresholds[name]), flush=True)


def tests(data: Path, limit: int) -> Iterator[tuple[str, str, list[tuple[Image, Mask]]]]:
    """Yield title, name and pictures with their truth."""
    for title, folder, name, group, part, target in SOURCES:
        every = open_dataset(f"folder:{data / folder}?instruction=the target")
        held = [one for one in every if is_held_out(group_of(one, group), part) and is_of(one, target)]
        some = [(one.image(), one.truth) for one in held[:: max(1, len(held) // limit)][:limit]]
        yield title, name, some
        if folder == "brain_mri_lgg":
            grey = [(Image(np.repeat(image.pixels[..., 1:2], 3, axis=2)), mask) for image, mask in some]
            yield "tumours, its FLAIR channel alone", name, grey
    yield "tumours, BraTS FLAIR (grey, another scanner)", "tumour", list(slices(data / "volumes" / "brats2013_0001"))


def is_of(sample: Sample, target: str) -> bool:
    """Say whether a sample is of a target; "": of any."""
    return not target or sample.meta.get("target") == target


def slices(folder: Path) -> Iterator[tuple[Image, Mask]]:
    """Yield every fourth axial slice without tumour or with enough of it."""
    volume = Volume.read(next(folder.glob("Flair*")), modality="")
    labels = LabelMap.read(folder / "OTMultiClass.nii.gz").on_grid_of(volume)
    viewer = Viewer(volume, volume.slicing("axial"), volume.window())
    for index in range(0, viewer.slicing.count, 4):
        mask = Mask.from_dense(viewer.slicing.slice(labels.array, index) > 0)
        if not viewer.is_blank(index) and (not mask or mask.area > FEWEST):
            yield viewer.picture(index), mask


def row(
    title: str,
    name: str,
    pairs: list[tuple[Image, Mask]],
    detector: SubjectDetector,
    segmenter: NanoSegmenter,
    presence: float,
) -> str:
    """Score one source."""
    own, cut, absent, alarms, empty = [], [], 0, 0, 0
    for image, truth in pairs:
        (found,) = detector.detect([image], [[name]])
        there = bool(found) and found[0].score >= presence
        if not truth:
            empty, alarms = empty + 1, alarms + there
            continue
        absent += not there
        mask = found[0].mask if there else None
        own.append(mask.iou(truth) if mask else 0.0)
        box = None if mask is None or mask.box is None else Prompts(image.frame, (Prompt(image.frame, box=mask.box),))
        cut.append(segmenter.decode(segmenter.encode(image), box)[0].iou(truth) if box else 0.0)
    figures = f"{np.mean(own):.3f} | {np.mean(cut):.3f} | {np.mean(np.array(own) >= 0.5):.0%}"
    figures += f", {np.mean(np.array(cut) >= 0.5):.0%} | {absent} of {len(own)} | {alarms} of {empty}"
    return f"| {title} | {len(own)} | {figures} |"


if __name__ == "__main__":
    main()
