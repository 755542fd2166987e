"""Styles for QGIS, so that outlines and labels open coloured: one colour a label."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from fiducial.overlays import palette_colour

_HEAD = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
MOST = 256
"""Labels that a raster's style lists; further ones take the last colour."""


def outline_style(labels: Sequence[str]) -> str:
    """Return a QML document that draws outlines filled lightly in a colour for each label."""
    categories = "".join(
        f'<category value={quoteattr(label)} symbol="{number}" label={quoteattr(label)} render="true"/>'
        for number, label in enumerate(labels)
    )
    symbols = "".join(_symbol(number, palette_colour(number)) for number in range(len(labels)))
    return (
        f'{_HEAD}<qgis version="3.28" styleCategories="Symbology">'
        '<renderer-v2 type="categorizedSymbol" attr="label" symbollevels="0" enableorderby="0">'
        f"<categories>{categories}</categories><symbols>{symbols}</symbols></renderer-v2></qgis>\n"
    )


def label_style(count: int) -> str:
    """Return a QML document that draws the numbers 1 to ``count`` in colours, and nothing for 0."""
    entries = "".join(
        f'<paletteEntry value="{number}" color="#{_hex(palette_colour(number - 1))}" alpha="160" label="{number}"/>'
        for number in range(1, min(count, MOST) + 1)
    )
    return (
        f'{_HEAD}<qgis version="3.28" styleCategories="Symbology"><pipe>'
        f'<rasterrenderer type="paletted" band="1" opacity="1"><colorPalette>{entries}</colorPalette></rasterrenderer>'
        "</pipe></qgis>\n"
    )


def _symbol(number: int, colour: tuple[int, int, int]) -> str:
    red, green, blue = colour
    options = "".join(
        f'<Option type="QString" name="{name}" value="{escape(value)}"/>'
        for name, value in (
            ("color", f"{red},{green},{blue},70"),
            ("outline_color", f"{red},{green},{blue},255"),
            ("outline_width", "0.4"),
            ("style", "solid"),
        )
    )
    return (
        f'<symbol type="fill" name="{number}" alpha="1"><layer class="SimpleFill" enabled="1" locked="0" pass="0">'
        f'<Option type="Map">{options}</Option></layer></symbol>'
    )


def _hex(colour: tuple[int, int, int]) -> str:
    return "".join(f"{part:02x}" for part in colour)
