"""``fiducial models``: checkpoints, licences, and what is on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from fiducial.cli import common
from fiducial.recipes import checkpoints


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = common.Parser("models", "List the checkpoints that recipes name, and their licences.")
    parser.add_argument("--json", action="store_true", help="print one JSON object per checkpoint")
    arguments = parser.read(words)
    for found in checkpoints():
        if arguments.json:
            common.print_json(
                {
                    "name": found.name,
                    "role": found.role,
                    "licence": found.licence,
                    "parameters": found.parameters,
                    "used_by": [*found.used_by],
                    "local": None if found.local is None else str(found.local),
                }
            )
            continue
        where = f"on this machine: {found.local}" if found.local else "not on this machine: loaded when first used"
        print(f"{found.name}  ({found.role}, {found.parameters} parameters)")
        print(f"  licence: {found.licence}\n  used by: {', '.join(found.used_by)}\n  {where}")
    if not arguments.json:
        print("The recipe 'classic' needs none of these. Any part takes a local folder instead: NAME:FOLDER.")
    return 0
