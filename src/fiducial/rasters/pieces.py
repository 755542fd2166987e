"""Pieces: what one window shows of a thing, and what came of asking about the window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fiducial.files import rounded
from fiducial.geometry import Mask, placed
from fiducial.language import Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """Pixels of the grid as runs in the box around them, so that they take the same memory on a grid of any size.

    Args:
        x: of the box's corner on the grid.
        y: of the box's corner on the grid.
        mask: on a canvas that is that box.
    """

    x: int
    y: int
    mask: Mask

    @classmethod
    def of(cls, mask: Mask, x: int = 0, y: int = 0) -> Patch | None:
        """Return the patch of a mask whose canvas lies at x, y of the grid; None where the mask is empty."""
        if mask.box is None:
            return None
        left, top, right, bottom = (int(edge) for edge in mask.box)
        return cls(x + left, y + top, placed(mask.with_score(None), -left, -top, bottom - top, right - left))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Its box x1, y1, x2, y2 in pixels of the grid."""
        return self.x, self.y, self.x + self.mask.width, self.y + self.mask.height

    def within(self, box: tuple[int, int, int, int]) -> Mask:
        """Return what lies in a box of the grid, on a canvas that is that box."""
        x1, y1, x2, y2 = box
        return placed(self.mask, self.x - x1, self.y - y1, y2 - y1, x2 - x1)

    def joined(self, *others: Patch) -> Patch:
        """Return the pixels of several."""
        boxes = np.array([self.box, *(other.box for other in others)])
        x1, y1 = boxes[:, :2].min(axis=0).tolist()
        x2, y2 = boxes[:, 2:].max(axis=0).tolist()
        masks = [one.within((x1, y1, x2, y2)) for one in (self, *others)]
        return Patch(x1, y1, masks[0].union(*masks[1:]))


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A thing as one window shows it.

    Args:
        patch: its pixels.
        label: what it was found as.
        score: how sure that is, in 0..1, or None.
        brightness: mean luminance in 0..1, or None.
        colours: as in :class:`fiducial.language.candidates.Candidate`.
    """

    patch: Patch
    label: str
    score: float | None = None
    brightness: float | None = None
    colours: Mapping[str, float] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain values; the pixels are a COCO run-length code of the box at ``x``, ``y``."""
        colours = None if self.colours is None else {name: rounded(share, 4) for name, share in self.colours.items()}
        return {
            "x": self.patch.x,
            "y": self.patch.y,
            "mask": self.patch.mask.to_coco(),
            "label": self.label,
            "score": rounded(self.score, 6),
            "brightness": rounded(self.brightness, 4),
            "colours": colours,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Piece:
        """Read what :meth:`as_json` returned."""
        patch = Patch(int(values["x"]), int(values["y"]), Mask.from_coco(values["mask"]))
        return cls(patch, str(values["label"]), values["score"], values["brightness"], values["colours"])


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What came of one window: how asking ended, in which words, and what was found.

    ``empty`` says that the window holds no data, or one colour alone, so that nothing was asked.
    """

    outcome: Outcome
    text: str = ""
    pieces: tuple[Piece, ...] = ()
    empty: bool = False

    def as_json(self, tile: int) -> dict[str, Any]:
        """Return plain values for strict JSON; ``tile`` is the number of the window."""
        return {
            "tile": tile,
            "outcome": self.outcome.value,
            "text": self.text,
            "empty": self.empty,
            "pieces": [piece.as_json() for piece in self.pieces],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Seen:
        """Read what :meth:`as_json` returned."""
        pieces = tuple(Piece.from_json(one) for one in values["pieces"])
        return cls(Outcome(values["outcome"]), str(values["text"]), pieces, bool(values["empty"]))
