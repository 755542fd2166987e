"""The bare form: a nested list of boxes, [[x1, y1, x2, y2], ...]."""

from __future__ import annotations

from dataclasses import dataclass

from fiducial.geometry import Prompts
from fiducial.language.dialects.strictly import NotExact, exact_json, exact_numbers, exact_text
from fiducial.language.dialects.writing import needed_box, rounded_box
from fiducial.language.parsing import Item, Notes, Reading, read_json_like, split_reply


@dataclass(frozen=True, slots=True)
class ListGrammar:
    """A nested list of boxes; points and labels are not written.

    Args:
        name: the dialect's name, for messages.
        decimals: decimals of each number.
    """

    name: str
    decimals: int

    def write(self, prompts: Prompts, thinking: str) -> str:
        """Write the boxes of prompts."""
        boxes = [rounded_box(needed_box(prompt, self.name), prompt.frame, self.decimals) for prompt in prompts]
        rows = (", ".join(f"{value:.{self.decimals}f}" for value in box) for box in boxes)
        return "[" + ", ".join(f"[{row}]" for row in rows) + "]"

    def read(self, text: str, notes: Notes) -> Reading:
        """Read boxes wherever they stand."""
        reply = split_reply(text, notes)
        reading = read_json_like(reply.answer, notes, ended=reply.ended, points=False)
        reading.thinking = reply.thinking
        reading.cut_off = reading.cut_off or reply.cut_off
        return reading

    def read_strict(self, text: str) -> Reading:
        """Read exactly a nested list."""
        try:
            value = exact_json(exact_text(text))
            if not isinstance(value, list):
                raise NotExact("the reply needs to be a nested list of boxes")
            return Reading([Item(exact_numbers(row, 4, "a box")) for row in value], nothing=not value)
        except NotExact as error:
            return Reading(problem=str(error))
