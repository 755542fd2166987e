"""``fiducial parse``: a model's reply in, coordinates out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fiducial.cli import common, terminal
from fiducial.config import Config, option
from fiducial.errors import InputError
from fiducial.geometry import Frame
from fiducial.language import Outcome
from fiducial.language.dialects import DIALECTS, dialect

MAX_REPLY_BYTES = 4 * 1024 * 1024
"""The longest reply that is read."""


@dataclass(frozen=True, kw_only=True)
class Parse(Config):
    """Read a model's reply from stdin; print prompts in pixels of the image as JSON."""

    dialect: str | None = option(None, "how the model writes coordinates (see --list)", unit="D")
    image: str | None = option(None, "size of the original image in pixels", unit="WxH")
    canvas: str | None = option(None, "size the model was shown (default: the dialect's own rule)", unit="WxH")
    strict: bool = option(False, "accept exactly the format, mend nothing")
    list: bool = option(False, "print the dialects")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Parse, "parse", words)
    if options.list:
        longest = max(map(len, DIALECTS))
        for name in DIALECTS:
            print(f"{name:<{longest}}  {dialect(name).summary}")
        return 0
    if not options.dialect or not options.image:
        raise InputError("parse: needs --dialect D and --image WIDTHxHEIGHT (or --list)")
    chosen = dialect(options.dialect)
    width, height = common.read_size("--image", options.image)
    canvas = common.read_size("--canvas", options.canvas) if options.canvas else None
    reply = terminal.read_input(MAX_REPLY_BYTES)
    answer = chosen.decode(reply, chosen.frame(width, height, canvas), strict=options.strict)
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
        terminal.say(f"fiducial: malformed reply: {answer.text}")
    return 0
