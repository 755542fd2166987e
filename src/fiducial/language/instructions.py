"""Instructions: what a user says, checked before anything else looks at it."""

from __future__ import annotations

from fiducial.errors import InputError

MAX_INSTRUCTION = 2000
"""The most characters an instruction may have."""


def check_instruction(text: str, where: str = "") -> str:
    """Return an instruction without the white space around it.

    Args:
        text: what the user wrote.
        where: names the image in errors.

    Raises:
        InputError: nothing was said, or more than ``MAX_INSTRUCTION`` characters.
    """
    place = f"{where}: " if where else ""
    cleaned = text.strip()
    if not cleaned:
        raise InputError(f"{place}the instruction is empty: say in words what to segment")
    if len(cleaned) > MAX_INSTRUCTION:
        raise InputError(
            f"{place}the instruction has {len(cleaned):,} characters, more than {MAX_INSTRUCTION:,}: shorten it"
        )
    return cleaned
