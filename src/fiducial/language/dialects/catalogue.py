"""The dialects by name, and which model family speaks which."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from fiducial.errors import InputError, UnknownNameError
from fiducial.language.dialects.base import Dialect, SmartResize, Square
from fiducial.language.dialects.json_grammar import JsonGrammar, ListGrammar, PointKey
from fiducial.language.dialects.point_grammar import MolmoGrammar
from fiducial.language.dialects.tag_grammar import TagGrammar
from fiducial.language.dialects.token_grammar import (
    TokenGrammar,
    florence_box,
    florence_tokens,
    kosmos_box,
    kosmos_tokens,
    paligemma_box,
    paligemma_tokens,
)

_QWEN2 = SmartResize(factor=28, min_pixels=56 * 56, max_pixels=16384 * 28 * 28)
"""As the published checkpoints set it; the bare class of transformers stops at 1280 * 28 * 28 pixels."""
_QWEN3 = SmartResize(factor=32, min_pixels=256 * 256, max_pixels=4096 * 4096)

_BOX_TOKENS = TagGrammar(
    "qwen2-vl-native",
    label_tags=("<|object_ref_start|>", "<|object_ref_end|>"),
    box_tags=("<|box_start|>", "<|box_end|>"),
    style="pairs",
)


def think2seg(positive: int = 2, negative: int = 0, side: int = 840) -> Dialect:
    """Return Think2Seg-RS's dialect: thinking, then a fenced JSON array of boxes with points, without labels.

    Strictly read, a number up to half a canvas past the square is clipped, as the published code clips
    boxes instead of refusing them; further out the reply is malformed.

    Args:
        positive: how many ``positive_points`` each item holds: the first ones of a prompt are written.
        negative: how many ``negative_points``; 0 means that the key must not appear: a reply with it is void, as
            both published parsers have it (EarthReason_datasets, ``neg_point_num=0``).
        side: side of the square to which the image is squashed: 840 for Qwen2.5-VL, 896 for InternVL3,
            672 for LLaVA.
    """
    if positive < 1 or negative < 0:
        raise InputError(f"think2seg needs at least 1 positive and 0 negative points, got {positive} and {negative}")
    points = [PointKey("positive_points", positive, 1, nested=True)]
    if negative:
        points.append(PointKey("negative_points", negative, 0, nested=True))
    voiding: frozenset[str] = frozenset() if negative else frozenset({"negative_points"})
    grammar = JsonGrammar(
        "think2seg",
        points=tuple(points),
        box_required=False,
        label_key=None,
        fence="required",
        tags=True,
        voiding=voiding,
    )
    return Dialect(
        "think2seg",
        ("think2seg-rs",),
        "thinking, then a fenced JSON array with bbox_2d and positive_points in pixels of a square; no labels",
        grammar,
        sizing=Square(side),
    )


_ALL = (
    Dialect(
        "sjtu",
        ("sjtu-viscom", "gpt-4o"),
        "nested list of boxes in fractions of 1, asked for by the prompt; no points, no labels",
        ListGrammar("sjtu", decimals=4),
        extent=1.0,
    ),
    Dialect(
        # LLaVA 1.5 was trained on boxes counted on the image padded to a square, as users worked out;
        # who shows it a padded image takes the frame of that square in place of this one.
        "llava",
        ("llava", "llava_next", "llava_onevision", "llava-1.5", "llava-1.6", "vipllava"),
        "nested list of boxes in fractions of 1; no points, no labels",
        ListGrammar("llava", decimals=3),
        extent=1.0,
    ),
    Dialect(
        # The keys are those of the later Qwen models; Qwen2-VL writes them when it is asked for JSON.
        "qwen2-vl",
        ("qwen2_vl", "qwen2-vl"),
        "JSON list with bbox_2d and label in thousandths; no points",
        JsonGrammar("qwen2-vl", native=_BOX_TOKENS),
        extent=1000.0,
        sizing=_QWEN2,
    ),
    Dialect(
        "qwen2-vl-native",
        ("qwen2-vl-grounding",),
        "label and (x1,y1),(x2,y2) between box tokens, in thousandths; no points",
        _BOX_TOKENS,
        extent=1000.0,
        sizing=_QWEN2,
    ),
    Dialect(
        "qwen2.5-vl",
        ("qwen2_5_vl", "qwen2.5-vl", "qwen2_5_omni"),
        "JSON list with bbox_2d (or point_2d) and label, in pixels of the resized image; no negative points",
        JsonGrammar("qwen2.5-vl", points=(PointKey("point_2d"),), either=True, native=_BOX_TOKENS),
        sizing=_QWEN2,
    ),
    Dialect(
        # Some documentation says 0..999; the models' own examples and cookbooks count to 1000.
        "qwen3-vl",
        ("qwen3_vl", "qwen3_vl_moe", "qwen3-vl", "qwen3_5", "qwen3_5_moe", "qwen3.5"),
        "JSON list with bbox_2d (or point_2d) and label, in thousandths; no negative points",
        JsonGrammar("qwen3-vl", points=(PointKey("point_2d"),), either=True, native=_BOX_TOKENS),
        extent=1000.0,
        sizing=_QWEN3,
    ),
    think2seg(),
    Dialect(
        "visionreasoner",
        ("visionreasoner-7b", "vision-reasoner"),
        "thinking, then a JSON array with bbox_2d and one point_2d in pixels of a square; no labels",
        JsonGrammar("visionreasoner", points=(PointKey("point_2d"),), label_key=None, fence="none", tags=True),
        sizing=Square(840),
    ),
    Dialect(
        # The example in Seg-Zero's prompt has single quotes; written and strictly read is valid JSON.
        "seg-zero",
        ("seg-zero-7b", "segzero"),
        "thinking, then one JSON object with bbox, points_1 and points_2 in pixels of a square; one target, no label",
        JsonGrammar(
            "seg-zero",
            box_key="bbox",
            points=(PointKey("points_1"), PointKey("points_2")),
            label_key=None,
            fence="none",
            tags=True,
            single=True,
        ),
        sizing=Square(840),
    ),
    Dialect(
        "internvl",
        ("internvl", "internvl_chat", "internvl2", "internvl2.5", "internvl3"),
        "<ref>label</ref><box>[[x1, y1, x2, y2]]</box> in thousandths; no points",
        TagGrammar("internvl", ("<ref>", "</ref>"), ("<box>", "</box>"), "nested"),
        extent=1000.0,
    ),
    Dialect(
        "gemini",
        ("gemini-2.0", "gemini-2.5", "gemini-3"),
        "JSON list with box_2d as y1, x1, y2, x2 (or point as y, x) and label, in thousandths; no negative points",
        JsonGrammar("gemini", box_key="box_2d", points=(PointKey("point"),), either=True, order="yx"),
        extent=1000.0,
    ),
    Dialect(
        # Published decoders divide by 1024, so token k lies at k/1024; whether training rounded to 1023
        # or to 1024 steps could not be made sure: at most one step, a thousandth of the image.
        "paligemma",
        ("paligemma", "paligemma2"),
        "four tokens <loc0000>..<loc1023> y1, x1, y2, x2 before each label, joined by ' ; '; no points",
        TokenGrammar("paligemma", "<loc{:04d}>", 4, 1024, paligemma_tokens, paligemma_box, "behind"),
        extent=1024.0,
    ),
    Dialect(
        # Its polygons and the quadrangles of its OCR are no boxes: each becomes its bounding box, and a note says so.
        "florence2",
        ("florence2", "florence-2"),
        "label, then four tokens <loc_0>..<loc_999> x1, y1, x2, y2 for each box, which without a label take the one "
        "before; no points",
        TokenGrammar("florence2", "<loc_{}>", 4, 1000, florence_tokens, florence_box, "before", True),
        extent=1000.0,
    ),
    Dialect(
        "kosmos2",
        ("kosmos-2", "kosmos_2"),
        "<phrase>label</phrase><object>two patch tokens of a 32 x 32 grid</object>; no points",
        TokenGrammar("kosmos2", "<patch_index_{:04d}>", 2, 1024, kosmos_tokens, kosmos_box, "phrase"),
        extent=32.0,
    ),
    Dialect(
        "molmo",
        ("molmo", "molmo-7b"),
        "<point x= y= alt=> and <points x1= y1= ...> in percent; one point per target, no boxes",
        MolmoGrammar(),
        extent=100.0,
    ),
    Dialect(
        # As its model card reads replies: <points coords="PICTURE NUMBER X Y NUMBER X Y ...">, in thousandths.
        "molmo2",
        ("molmo2", "molmo-2"),
        '<points coords="1 1 x y 2 x y ..."> in thousandths; one point per target, no boxes',
        MolmoGrammar("molmo2", coords=True),
        extent=1000.0,
    ),
    Dialect(
        # Its makers' tools count in thousandths of the picture's own size; thinking, where there is any, comes first.
        "glm-4.5v",
        ("glm4v", "glm4v_moe", "glm46v", "glm-4v", "glm-4.1v", "glm-4.5v", "glm-4.6v"),
        "nested list of boxes in thousandths between <|begin_of_box|> and <|end_of_box|>; no points, no labels",
        ListGrammar("glm-4.5v", decimals=0, marks=("<|begin_of_box|>", "<|end_of_box|>")),
        extent=1000.0,
    ),
    Dialect(
        # Fractions of the picture, as users and its makers' demonstration found; it may think between its own marks.
        "kimi-vl",
        ("kimi_vl", "kimi-vl"),
        "JSON list with bbox_2d (or point_2d) and label in fractions of 1; no negative points",
        JsonGrammar("kimi-vl", points=(PointKey("point_2d"),), either=True, decimals=3),
        extent=1.0,
    ),
    Dialect(
        "deepseek-vl2",
        ("deepseek_vl_v2", "deepseek_vl2"),
        "<|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2]]<|/det|>, numbers 0..999; no points",
        TagGrammar("deepseek-vl2", ("<|ref|>", "<|/ref|>"), ("<|det|>", "<|/det|>"), "nested"),
        extent=999.0,
    ),
)

DIALECTS: Mapping[str, Dialect] = MappingProxyType({dialect.name: dialect for dialect in _ALL})
"""Every dialect by name."""


def dialect(name: str) -> Dialect:
    """Return a dialect by its name, or raise UnknownNameError.

    Example:
        >>> dialect("gemini").frame(640, 480).right
        1000.0
    """
    plain = name.strip().lower()
    if plain not in DIALECTS:
        raise UnknownNameError("dialect", name, DIALECTS)
    return DIALECTS[plain]


def dialect_for_family(name: str) -> Dialect:
    """Return the dialect of a ``model_type`` of transformers, or of a model or checkpoint, or raise UnknownNameError.

    The longest family name with which the last part of the name begins counts.

    Example:
        >>> dialect_for_family("Qwen/Qwen2.5-VL-7B-Instruct-AWQ").name
        'qwen2.5-vl'
    """
    asked = _plain(name.rsplit("/", 1)[-1])
    fits = [(len(family), one) for family, one in _FAMILIES.items() if asked.startswith(family)]
    if not fits or asked.startswith(_NOT_MEANT):
        raise UnknownNameError("model family", name, {family for one in _ALL for family in (one.name, *one.families)})
    return max(fits, key=lambda fit: fit[0])[1]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.lower())


_FAMILIES = {_plain(family): one for one in _ALL for family in (one.name, *one.families)}
_NOT_MEANT = ("molmopoint", "kosmos25")
"""Families whose names begin like one above, but which write coordinates in another way."""
