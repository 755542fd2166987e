"""``fiducial models``: checkpoints, licences, and what is on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from fiducial.cli import common
from fiducial.models import model_names, read_card
from fiducial.recipes import checkpoints


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = common.Parser("models", "List the checkpoints that recipes name, and their licences.")
    parser.add_argument("name", nargs="?", metavar="NAME", help="show the card of weights that come with the package")
    parser.add_argument("--json", action="store_true", help="print one JSON object per checkpoint")
    arguments = parser.read(words)
    if arguments.name:
        return _show_card(arguments.name, as_json=arguments.json)
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
        print(f"With the package come {', '.join(model_names())}: fiducial models NAME shows the card.")
        print("The recipe 'classic' needs none of these. Any part takes a local folder instead: NAME:FOLDER.")
    return 0


def _show_card(name: str, *, as_json: bool) -> int:
    card = read_card(name)
    if as_json:
        common.print_json({"name": card.name, **card.facts, "card": card.text})
    else:
        print(card.text, end="")
    return 0
