"""Tables: the grammar as lark has worked it out, kept beside it, because working it out takes longer than a network.

They are used where they were made of this very grammar by this very lark; else the grammar is worked out anew, to the
same end. ``make grammar`` writes them.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lark import Lark
from lark import __version__ as lark_version
from lark.grammar import Rule
from lark.lexer import TerminalDef

from fiducial.files import parse_json
from fiducial.language.phrases.tokens import PostLexer

_HERE = files("fiducial.language.phrases")
_NAME = "grammar.json"


@lru_cache(maxsize=1)
def parser() -> Lark:
    """Return what reads normalised instructions into trees."""
    return kept() or worked_out()


def worked_out() -> Lark:
    """Work the grammar out."""
    return Lark(_grammar(), start="request", parser="lalr", lexer="basic", postlex=PostLexer())


def kept() -> Lark | None:
    """Take the tables that are kept, or None where they are of another grammar or of another lark."""
    found = parse_json(_HERE.joinpath(_NAME).read_bytes(), _NAME, hook=_numbered)
    if found["made_of"] != _made_of():
        return None
    # as lark's own stand-alone parsers are read
    read: Lark = Lark._load_from_dict(found["data"], found["memo"], postlex=PostLexer())  # type: ignore[no-untyped-call]
    return read


def content() -> str:
    """Return what is to be kept."""
    data, memo = worked_out().memo_serialize([TerminalDef, Rule])
    del data["options"]["postlex"]  # code, which is given anew
    return json.dumps({"made_of": _made_of(), "data": data, "memo": memo}, separators=(",", ":")) + "\n"


def _grammar() -> str:
    return _HERE.joinpath("grammar.lark").read_text(encoding="utf-8")


def _made_of() -> str:
    said = "\n".join((lark_version, *PostLexer.always_accept, _grammar()))
    return hashlib.sha256(said.encode()).hexdigest()


def _numbered(value: dict[str, Any]) -> dict[int | str, Any]:
    """Give back to a dictionary the numbers that are its keys, which JSON writes as texts."""
    return {int(key) if key.isdecimal() else key: one for key, one in value.items()}


if __name__ == "__main__":
    Path(str(_HERE.joinpath(_NAME))).write_text(content(), encoding="utf-8")
