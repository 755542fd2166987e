"""The result for a volume: a label map, a table of what is where in the patient, and files of both."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fiducial.files import json_text, make_folder, rounded, write_atomically
from fiducial.language import Outcome
from fiducial.volumes.directions import Question
from fiducial.volumes.linking import Thing
from fiducial.volumes.sides import Middle, side_of
from fiducial.volumes.slices import Slice
from fiducial.volumes.viewing import Viewer
from fiducial.volumes.volume import LabelMap, Volume

COLUMNS = (
    "label", "name", "side", "volume_ml", "voxels", "right_mm", "anterior_mm", "superior_mm", "extent_right_left_mm",
    "extent_anterior_posterior_mm", "extent_superior_inferior_mm", "first_slice", "last_slice", "slices", "asked",
    "score",
)  # fmt: skip
"""Of the table. The centroid is RAS+ mm; ``asked`` counts the slices in which the prompter itself found it."""

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class VolumeSegmentation:
    """What was found in a volume.

    Args:
        volume: what was asked about.
        instruction: what the user said; left and right are the patient's.
        question: what the prompter was asked about each slice.
        viewer: the slices as they were shown.
        label_map: one label per thing, on the volume's grid; the largest is 1.
        table: one row per thing, in the order of the labels (see :data:`COLUMNS`).
        outcome: found, or how asking about most of the slices ended.
        text: in plain words, what was found and where.
        notes: what was understood, chosen, dropped and cut by neighbours.
        slices: what came of each.
    """

    volume: Volume
    instruction: str
    question: Question
    viewer: Viewer
    label_map: LabelMap
    table: tuple[Row, ...]
    outcome: Outcome
    text: str
    notes: tuple[str, ...]
    slices: tuple[Slice, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain values for strict JSON."""
        return {
            "volume": self.volume.name,
            "modality": self.volume.modality,
            "axes": self.volume.axes,
            "spacing_mm": [rounded(size, 6) for size in self.volume.spacing],
            "plane": self.viewer.slicing.plane,
            "view": self.viewer.slicing.describe(),
            "window": [*self.viewer.window],
            "instruction": self.instruction,
            "asked": self.question.text,
            "outcome": self.outcome.value,
            "text": self.text,
            "notes": [*self.volume.notes, *self.notes],
            "table": [*self.table],
            "slices": len(self.slices),
        }

    def save(self, folder: str | Path) -> dict[str, Path]:
        """Write ``labels.nii.gz``, ``table.csv``, ``result.json``, ``page.html``; for DICOM also ``labels.dcm``.

        Label maps are read back, and every centroid compared, before they take their names.

        Raises:
            InputError: a file that cannot be written, or a centroid that moved.
        """
        from fiducial.volumes.page import page_of

        folder = make_folder(folder)
        written = {"labels": self.label_map.write(folder / "labels.nii.gz")}
        if self.volume.files and self.table:
            written["dicom"] = self.label_map.write(folder / "labels.dcm", self.volume)
        written["table"] = write_atomically(folder / "table.csv", _as_csv(self.table))
        written["result"] = write_atomically(folder / "result.json", json_text(self.as_json()))
        written["page"] = write_atomically(folder / "page.html", page_of(self))
        return written

    def _repr_html_(self) -> str:
        """Show it in a notebook."""
        from fiducial.volumes.page import shown

        return shown(self)


def describe(
    volume: Volume,
    instruction: str,
    question: Question,
    viewer: Viewer,
    slices: Sequence[Slice],
    things: Sequence[Thing],
    labels: LabelMap,
    middle: Middle,
    notes: Sequence[str],
) -> VolumeSegmentation:
    """Put a result together: the table, and in words what was found."""
    table = tuple(
        _row(labels, number, thing, middle) for number, thing in enumerate(things, start=1) if number in labels.regions
    )
    outcomes = Counter(one.outcome for one in slices)
    unread = {outcome: outcomes[outcome] for outcome in Outcome if outcome not in (Outcome.FOUND, Outcome.NO_TARGET)}
    common = max(unread, key=lambda outcome: unread[outcome])
    outcome = Outcome.FOUND if table else common if unread[common] else Outcome.NO_TARGET
    said = [*notes, f"sides are told from {middle.mm[0]:.1f} mm, {middle.how}"]
    for kind, count in unread.items():
        if count:
            first = next(one for one in slices if one.outcome is kind)
            said.append(f"{count} of {len(slices)} slices ended {kind.value}; slice {first.index}: {first.text}")
    return VolumeSegmentation(
        volume, instruction, question, viewer, labels, table, outcome, _text(table, viewer, slices), tuple(said),
        tuple(slices),
    )  # fmt: skip


def _row(labels: LabelMap, number: int, thing: Thing, middle: Middle) -> Row:
    region = labels.regions[number]
    scores = [piece.score for piece in thing.pieces if piece.score is not None]
    places = zip(("right_mm", "anterior_mm", "superior_mm"), region.centroid, strict=True)
    sizes = zip(COLUMNS[8:11], region.extent, strict=True)
    return {
        "label": number,
        "name": region.name,
        "side": side_of(region, middle.mm[0]),
        "volume_ml": rounded(region.volume_ml, 4),
        "voxels": region.voxels,
        **{name: rounded(value, 3) for name, value in (*places, *sizes)},
        "first_slice": thing.slices[0],
        "last_slice": thing.slices[-1],
        "slices": len(thing.slices),
        "asked": thing.asked,
        "score": rounded(sum(scores) / len(scores), 4) if scores else None,
    }


def _text(table: Sequence[Row], viewer: Viewer, slices: Sequence[Slice]) -> str:
    looked = f"{len(slices)} {viewer.slicing.plane} slices"
    if not table:
        return f"Nothing was found in {looked}."
    count = "One thing" if len(table) == 1 else f"{len(table)} things"
    most = "; ".join(
        f"{row['name']}, {row['volume_ml']:.3g} ml, {_where(row['side'])}, slices {row['first_slice']} to "
        f"{row['last_slice']}"
        for row in table[:5]
    )
    more = f"; and {len(table) - 5} more" if len(table) > 5 else ""
    return f"{count} found in {looked}: {most}{more}. Left and right are the patient's."


def _where(side: str) -> str:
    if side == "midline":
        return "on the midline"
    mostly, _, word = side.rpartition(" ")
    return f"{mostly} on the patient's {word}".strip()


def _as_csv(table: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()
