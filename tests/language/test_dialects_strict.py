from __future__ import annotations

import pytest

from fiducial.language import Answer, Outcome
from fiducial.language.dialects import dialect

ITEM = '{"bbox_2d": [84, 168, 420, 504], "positive_points": [[252, 252], [336, 336]]}'


def strictly(name: str, text: str) -> Answer:
    one = dialect(name)
    return one.decode(text, one.frame(640, 480), strict=True)


def think2seg(answer: str, thinking: str = "left") -> str:
    return f"<think>{thinking}</think>\n<answer>{answer}</answer>"


def fenced(items: str) -> str:
    return think2seg(f"\n```json\n[{items}]\n```\n")


@pytest.mark.parametrize("text", [fenced(ITEM), " " + fenced(ITEM) + "\n", fenced(f"{ITEM},\n{ITEM}")])
def test_think2seg_accepts_its_form(text: str) -> None:
    answer = strictly("think2seg", text)
    assert answer.outcome is Outcome.FOUND
    assert answer.thinking == "left"
    assert answer.prompts[0].box == (84, 168, 420, 504)
    assert answer.prompts[0].points == ((252, 252), (336, 336))
    assert answer.repairs == ()


def test_think2seg_may_leave_the_box_out_but_not_the_points() -> None:
    assert strictly("think2seg", fenced('{"positive_points": [[1, 2], [3, 4]]}')).outcome is Outcome.FOUND
    assert strictly("think2seg", fenced("")).outcome is Outcome.NO_TARGET


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "exactly once"),
        (f"```json\n[{ITEM}]\n```", "exactly once"),
        (think2seg(f"[{ITEM}]"), "one ```json fence"),
        (think2seg(f"```\n[{ITEM}]\n```"), "one ```json fence"),
        (think2seg(f"```json\n[{ITEM}]\n"), "one ```json fence"),
        (think2seg(f"so: ```json\n[{ITEM}]\n```"), "one ```json fence"),
        (think2seg(f"```json\n[{ITEM}]\n```\n```json\n[]\n```"), "one ```json fence"),
        ("Well. " + fenced(ITEM), "nothing else"),
        (fenced(ITEM) + " Done.", "nothing else"),
        (fenced(ITEM).replace("</think>", "</think> so "), "nothing else"),
        (fenced(ITEM) + fenced(ITEM), "exactly once"),
        (fenced(ITEM).replace("<think>left</think>", ""), "exactly once"),
        (think2seg(f"```json\n{ITEM}\n```"), "JSON array"),
        (fenced(ITEM + ","), "valid JSON"),
        (fenced(ITEM.replace('"', "'")), "valid JSON"),
        (fenced(ITEM.replace("84", "NaN")), "valid JSON"),
        (fenced(ITEM.replace("84", "1e999")), "finite"),
        (fenced(ITEM.replace("84", "9" * 400)), "finite"),
        (fenced(ITEM.replace("84", "true")), "list of 4 numbers"),
        (fenced(ITEM.replace("84", '"84"')), "list of 4 numbers"),
        (fenced(ITEM.replace("84, ", "")), "list of 4 numbers"),
        (fenced(ITEM.replace(", [336, 336]", "")), "exactly 2 points"),
        (fenced(ITEM.replace("[336, 336]", "[336, 336], [1, 2]")), "exactly 2 points"),
        (fenced(ITEM.replace("[336, 336]", "[336]")), "list of 2 numbers"),
        (fenced('{"bbox_2d": [84, 168, 420, 504]}'), "exactly 2 points"),
        (fenced(ITEM[:-1] + ', "negative_points": []}'), "unexpected key 'negative_points'"),
        (fenced(ITEM[:-1] + ', "label": "ship"}'), "unexpected key 'label'"),
        (fenced("[1, 2, 3, 4]"), "JSON object"),
        (fenced(ITEM[:-1] + ', "bbox_2d": [1, 2, 3, 4]}'), "valid JSON"),
        (fenced(ITEM.replace("84, 168, 420, 504", "420, 504, 84, 168")), "impossible in this frame"),
        (fenced(ITEM.replace("84, 168, 420, 504", "84, 168, 84, 504")), "impossible in this frame"),
        (fenced(ITEM.replace("336, 336", "9000, 336")), "impossible in this frame"),
        (fenced("[" * 100_000), "longer than"),
        (fenced("[" * 40_000), "valid JSON"),
    ],
)
def test_think2seg_refuses_anything_else(text: str, why: str) -> None:
    answer = strictly("think2seg", text)
    assert answer.outcome is Outcome.MALFORMED
    assert len(answer.prompts) == 0
    assert why in answer.text
    assert answer.raw == text


def test_pixels_of_a_canvas_are_clipped_but_fixed_ranges_are_kept() -> None:
    answer = strictly("think2seg", fenced(ITEM.replace("504", "844")))
    assert answer.outcome is Outcome.FOUND
    assert answer.prompts[0].box == (84, 168, 420, 840)
    assert answer.repairs == ("a box clipped to the frame",)
    assert strictly("sjtu", "[[0.1, 0.2, 0.3, 1.01]]").outcome is Outcome.MALFORMED
    assert strictly("qwen3-vl", '[{"bbox_2d": [1, 2, 3, 1001]}]').outcome is Outcome.MALFORMED


OTHERS = {
    "sjtu": (
        ["[[0.1, 0.2, 0.3, 0.4]]", "[[0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]]"],
        ["[0.1, 0.2, 0.3, 0.4]", "[[0.1, 0.2, 0.3]]", "x [[0.1, 0.2, 0.3, 0.4]]", "{}", "1", "[[0.3, 0.2, 0.1, 0.4]]"],
    ),
    "qwen2.5-vl": (
        [
            '[{"bbox_2d": [1, 2, 3, 4], "label": "a"}]',
            '```json\n[{"point_2d": [1, 2]}]\n```',
            '[{"bbox_2d": [1.5, 2, 3, 4]}]',
        ],
        [
            '{"bbox_2d": [1, 2, 3, 4]}',
            '[{"box_2d": [1, 2, 3, 4]}]',
            '[{"bbox_2d": [1, 2, 3, 4], "label": 3}]',
            '[{"bbox_2d": [1, 2, 3, 4], "point_2d": [1, 2]}]',
            '[{"label": "a"}]',
            '```json\n[{"point_2d": [1, 2]}]',
            "```json",
            "```json```",
        ],
    ),
    "qwen2-vl": (['[{"bbox_2d": [1, 2, 3, 4]}]'], ['[{"point_2d": [1, 2]}]', '[{"label": "a"}]', "[1]"]),
    "gemini": (['[{"box_2d": [1, 2, 3, 4]}]', '[{"point": [5, 6]}]'], ['[{"bbox_2d": [1, 2, 3, 4]}]']),
    "visionreasoner": (
        ['<think></think><answer>[{"bbox_2d": [1, 2, 3, 4], "point_2d": [2, 3]}]</answer>'],
        [
            '<think></think><answer>[{"bbox_2d": [1, 2, 3, 4]}]</answer>',
            '<think></think><answer>[{"point_2d": [2, 3]}]</answer>',
            '<think></think><answer>```json\n[{"bbox_2d": [1, 2, 3, 4], "point_2d": [2, 3]}]\n```</answer>',
        ],
    ),
    "seg-zero": (
        ['<think></think><answer>{"bbox": [1, 2, 3, 4], "points_1": [2, 3], "points_2": [2, 3]}</answer>'],
        [
            '<think></think><answer>[{"bbox": [1, 2, 3, 4], "points_1": [2, 3], "points_2": [2, 3]}]</answer>',
            '<think></think><answer>{"bbox": [1, 2, 3, 4], "points_1": [2, 3]}</answer>',
        ],
    ),
    "qwen2-vl-native": (
        ["<|box_start|>(1,2),(3,4)<|box_end|>"],
        [
            "<|box_start|>[1,2,3,4]<|box_end|>",
            "<|box_start|>(1,2),(3,4)",
            "ship <|box_start|>(1,2),(3,4)<|box_end|>",
            "",
        ],
    ),
    "internvl": (
        ["<ref>a</ref><box>[[1, 2, 3, 4], [5, 6, 7, 8]]</box>\n<ref>b</ref><box>[[1, 2, 3, 4]]</box>"],
        ["<ref>a</ref>", "<box>[1, 2, 3, 4]</box>", "<box>[]</box>", "<box>{}</box>", "<box>[[1, 2, 3, 4]]</box>."],
    ),
    "deepseek-vl2": (["<|det|>[[1, 2, 3, 999]]<|/det|>"], ["<|det|>[[1, 2, 3, 1000]]<|/det|>", "[[1, 2, 3, 4]]"]),
    "paligemma": (
        ["<loc0001><loc0002><loc0003><loc0004> a ; <loc0001><loc0002><loc0003><loc0004>"],
        [
            "",
            "<loc0001><loc0002><loc0003> a",
            "<loc0001><loc0002><loc0003><loc1024> a",
            "<loc1><loc2><loc3><loc4>",
            "<loc0001><loc0002><loc0003><loc0004> a ; ",
            "I see <loc0001><loc0002><loc0003><loc0004>",
        ],
    ),
    "florence2": (
        ["a<loc_1><loc_2><loc_3><loc_4>b<loc_1><loc_2><loc_3><loc_999>"],
        ["a", "", "a<loc_1><loc_2><loc_3>", "a<loc_1><loc_2><loc_3><loc_4>b"],
    ),
    "kosmos2": (
        [
            "<object><patch_index_0000><patch_index_0033></delimiter_of_multi_objects/><patch_index_0000><patch_index_0033></object>"
        ],
        ["a ship", "<object><patch_index_0000></object>", "<object><patch_index_0000><patch_index_1033></object>"],
    ),
    "molmo": (
        ['<point x="1.5" y="2" alt="a">a</point>\n<points x1="1" y1="2" x2="3" y2="4" alt="b">b</points>'],
        [
            "",
            '<point x="1.5" alt="a">a</point>',
            '<point x="1.5" y="two" alt="a">a</point>',
            '<point x="1.5" y="2" alt="a">a</points>',
            '<point x1="1.5" y1="2" alt="a">a</point>',
            '<points x1="1" y1="2" x3="3" y3="4" alt="b">b</points>',
            '<point x="150" y="2" alt="a">a</point>',
            'See <point x="1.5" y="2" alt="a">a</point>',
        ],
    ),
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, (good, _) in OTHERS.items() for text in good])
def test_accepted(name: str, text: str) -> None:
    answer = strictly(name, text)
    assert answer.outcome is Outcome.FOUND, answer.text
    assert answer.repairs == ()


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, (_, bad) in OTHERS.items() for text in bad])
def test_refused(name: str, text: str) -> None:
    answer = strictly(name, text)
    assert answer.outcome is Outcome.MALFORMED
    assert answer.text
    assert len(answer.prompts) == 0
