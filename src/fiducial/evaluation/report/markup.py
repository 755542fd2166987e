"""HTML and SVG as values: text is escaped where it is put in, so that nothing a model wrote can become markup."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TypeAlias

Child: TypeAlias = "str | Markup | Iterable[Child] | None"

_VOID = frozenset({"img", "br", "meta", "circle", "line", "rect", "path", "polyline"})


class Markup(str):
    """Text that is markup already; everything else is escaped."""

    __slots__ = ()


def tag(name: str, *children: Child, **attributes: str | float | None) -> Markup:
    """Make an element.

    Args:
        name: of the element.
        children: text (escaped), markup, lists of them, or None for nothing.
        attributes: their values are escaped; underscores in names become hyphens, one at the end goes
            (``class_``); None leaves the attribute out.

    Example:
        >>> tag("p", "a < b", class_="note")
        '<p class="note">a &lt; b</p>'
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID and not children:
        return Markup(f"<{name}{told}/>")
    return Markup(f"<{name}{told}>{join(children)}</{name}>")


def join(children: Child) -> Markup:
    """Put children one after the other, escaping those that are plain text."""
    if children is None:
        return Markup("")
    if isinstance(children, Markup):
        return children
    if isinstance(children, str):
        return Markup(html.escape(_clean(children)))
    return Markup("".join(join(child) for child in children))


def _text(value: str | float) -> str:
    if isinstance(value, str):
        return _clean(value)
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _clean(text: str) -> str:
    """Show what cannot stand in a page (control characters, broken letters) as a replacement mark."""
    return "".join(
        letter if letter in "\t\n" or (ord(letter) >= 32 and not 0x7F <= ord(letter) < 0xA0) else "\ufffd"
        for letter in text.encode("utf-8", "replace").decode("utf-8")
    )
