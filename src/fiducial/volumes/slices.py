"""What came of each slice, kept on the disk as it is done, so that stopped work goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from fiducial.config import as_plain
from fiducial.contents import CONTENTS, contents_of
from fiducial.errors import InputError
from fiducial.files import rounded
from fiducial.geometry import Mask
from fiducial.journal import Journal
from fiducial.language import Outcome
from fiducial.volumes.configs import VolumeOptions
from fiducial.volumes.linking import Piece
from fiducial.volumes.volume import Volume

RECORDS = "slices.jsonl"
_LATER = ("overlap", "propagate", "reach", "least_slices", "slices")
"""Options that work on what the slices hold: they may change between two starts."""


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """What came of asking about one slice: how it ended, the prompter's words, and what was found."""

    index: int
    outcome: Outcome
    text: str = ""
    pieces: tuple[Piece, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain values for strict JSON; masks are COCO run-length codes."""
        return {
            "index": self.index,
            "outcome": self.outcome.value,
            "text": self.text,
            "pieces": [
                {"label": piece.label, "score": rounded(piece.score, 4), "mask": piece.mask.to_coco()}
                for piece in self.pieces
            ],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Slice:
        """Read what :meth:`as_json` returned."""
        index = int(values["index"])
        pieces = (
            Piece(index, Mask.from_coco(one["mask"]), str(one["label"]), one["score"]) for one in values["pieces"]
        )
        return cls(index, Outcome(values["outcome"]), str(values["text"]), tuple(pieces))


class SliceStore:
    """The slices that are done, in memory and, where there is a folder, in its ``slices.jsonl``.

    Slices whose model failed are asked again when the work goes on.

    Args:
        folder: of the results; None keeps nothing.
        volumes: what is segmented, and what is shown around it.
        instruction: what was asked for.
        options: how.
        recipe: what the pipeline is made of.
        command: the words that started this.

    Raises:
        InputError: the folder holds other work, or another process writes to it.
    """

    def __init__(
        self,
        folder: str | Path | None,
        volumes: Sequence[Volume],
        instruction: str,
        options: VolumeOptions,
        recipe: Mapping[str, Any],
        command: Sequence[str],
    ) -> None:
        self.done: dict[int, Slice] = {}
        self._journal: Journal | None = None
        if folder is None:
            return
        asked = {key: value for key, value in as_plain(options).items() if key not in _LATER}
        settings = {
            "volume": [{"name": one.name, "shape": one.shape, "sha256": fingerprint(one)} for one in volumes],
            "instruction": instruction,
            "options": asked,
            "recipe": as_plain(recipe),
            CONTENTS: contents_of(recipe, {}),
        }
        self._journal = Journal(folder, RECORDS, settings, command)
        try:
            for where, line in self._journal:
                found = _read(line, where)
                if found.outcome is not Outcome.FAILED:
                    self.done[found.index] = found
        except InputError:
            self._journal.close()
            raise

    def append(self, found: Slice) -> None:
        """Keep what came of a slice, on the disk before this returns."""
        if self._journal is not None:
            self._journal.append(found.as_json())
        self.done[found.index] = found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._journal is not None:
            self._journal.close()


def fingerprint(volume: Volume) -> str:
    """Return the SHA-256 of a volume's values and place."""
    digest = hashlib.sha256(f"{volume.shape} {volume.array.dtype}".encode())
    digest.update(volume.affine.tobytes())
    for k in range(volume.shape[2]):
        digest.update(np.ascontiguousarray(volume.array[:, :, k]).data)
    return digest.hexdigest()


def _read(line: Mapping[str, Any], where: str) -> Slice:
    try:
        return Slice.from_json(line)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{where}: not what came of a slice ({error}): was the file edited?") from None
