"""What a detector would not have found: said where nothing was, so that no answer is calmer than what it stands on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from fiducial.images import Image


class Limit(NamedTuple):
    """What of a name is hardly found in a picture."""

    side: int  # things whose box has a smaller side, the root of its area in pixels of the picture
    also: str = ""  # others, in words: "those side by side in a marina"


@runtime_checkable
class KnowsLimits(Protocol):
    """A detector that knows what it hardly finds."""

    def hardly_found(self, image: Image, name: str) -> Limit | None:
        """Return what of a name is hardly found in a picture; None where that is not known."""
        ...


def not_seen(detector: object, image: Image, missed: Mapping[str, str]) -> str:
    """Say what would not have been found, of names of which nothing was; "" where nothing is known about that.

    Args:
        detector: what was asked; only what keeps to :class:`KnowsLimits` knows.
        image: the picture.
        missed: for each of these names the user's noun for it, in the plural.
    """
    if not isinstance(detector, KnowsLimits):
        return ""
    limits = [(noun, limit) for name, noun in missed.items() if (limit := detector.hardly_found(image, name))]
    said = [
        f"{noun} smaller than about {limit.side} pixels{f' and {limit.also}' if limit.also else ''}"
        for noun, limit in limits
    ]
    if not said:
        return ""
    return (
        f"In this picture {', and '.join(said)} are hardly found, so some may be there: --set prompter.zoom=2 looks "
        "closer, and is wrong more often."
    )
