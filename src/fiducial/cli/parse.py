"""``fiducial parse``: a model's reply in, coordinates out."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fiducial.cli import common
from fiducial.errors import InputError
from fiducial.geometry import Frame
from fiducial.language import Outcome
from fiducial.language.dialects import DIALECTS, dialect


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    arguments = _parser().read(words)
    if arguments.list:
        width = max(map(len, DIALECTS))
        for name in DIALECTS:
            print(f"{name:<{width}}  {dialect(name).summary}")
        return 0
    if not arguments.dialect or not arguments.image:
        raise InputError("parse: needs --dialect D and --image WIDTHxHEIGHT (or --list)")
    chosen = dialect(arguments.dialect)
    width, height = common.read_size("--image", arguments.image)
    canvas = common.read_size("--canvas", arguments.canvas) if arguments.canvas else None
    reply = sys.stdin.buffer.read().decode("utf-8", errors="replace")
    answer = chosen.decode(reply, chosen.frame(width, height, canvas), strict=arguments.strict)
    answer = answer.to(Frame.pixels(width, height))
    common.print_json(
        {
            "outcome": answer.outcome.value,
            "text": answer.text,
            "thinking": answer.thinking,
            "prompts": answer.prompts.as_json(),
            "repairs": [*answer.repairs],
        }
    )
    if answer.outcome is Outcome.MALFORMED:
        print(f"fiducial: malformed reply: {answer.text}", file=sys.stderr)
    return 0


def _parser() -> common.Parser:
    parser = common.Parser("parse", "Read a model's reply from stdin; print prompts in pixels of the image as JSON.")
    parser.add_argument("--dialect", metavar="D", help="how the model writes coordinates (see --list)")
    parser.add_argument("--image", metavar="WxH", help="size of the original image in pixels")
    parser.add_argument("--canvas", metavar="WxH", help="size the model was shown (default: the dialect's own rule)")
    parser.add_argument("--strict", action="store_true", help="accept exactly the format, mend nothing")
    parser.add_argument("--list", action="store_true", help="print the dialects")
    return parser
