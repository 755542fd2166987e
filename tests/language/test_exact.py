"""What is written is read back exactly: within the dialect's step, for any frame and labels, and never mended."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialect_targets import BOXLESS, LABELS, POINTS, SEEDS, SIZES, targets
from fiducial.geometry import Frame, Prompt, Prompts
from fiducial.language import Answer, Outcome
from fiducial.language.dialects import DIALECTS, dialect
from fiducial.language.dialects.replies import Notes, split_reply
from fiducial.language.dialects.values import read_values

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


STEPS = {"sjtu": 1e-4, "llava": 1e-3, "molmo": 0.1, "kimi-vl": 1e-3}
WIDENED = {"florence2": 1.5, "paligemma": 2.0}  # a thin box at the edge moves by more than a step


def moved(got: Prompt, want: Prompt) -> float:
    """Return by how much the furthest number of the box moved."""
    assert (got.box is None) == (want.box is None)
    return max((abs(a - b) for a, b in zip(got.box or (), want.box or (), strict=True)), default=0.0)


@pytest.mark.parametrize("name", sorted(DIALECTS))
@given(seed=SEEDS, width=SIZES, height=SIZES)
def test_round_trip(name: str, seed: int, width: int, height: int) -> None:
    one = DIALECTS[name]
    wanted = targets(name, width, height, seed)
    frame = one.frame(width, height)
    text = one.encode(wanted, frame, thinking="a thought")
    expected = wanted.to(frame)
    step = STEPS.get(name, 1.0) * (1 + 1e-6)
    for strict in (True, False):
        answer = one.decode(text, frame, strict=strict)
        assert (answer.outcome, answer.repairs, len(answer.prompts)) == (Outcome.FOUND, (), len(expected)), text
        label = None
        for got, want in zip(answer.prompts, expected, strict=True):
            label = want.label or (label if name == "florence2" else None)
            assert moved(got, want) <= step * WIDENED.get(name, 1.0), text
            assert len(got.points) == len(want.points)
            for a, b in zip(got.points, want.points, strict=True):
                assert max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= step / 2
            if "no label" not in one.summary:
                assert got.label == label
    # what was read is written in the same way again
    assert name == "florence2" or one.encode(answer.prompts, frame, thinking="a thought") == text


@pytest.mark.parametrize("name", ["qwen2.5-vl", "think2seg", "internvl", "gemini"])
@settings(max_examples=25)
@given(seed=SEEDS, width=SIZES, height=SIZES, side=st.integers(min_value=56, max_value=3000))
def test_round_trip_on_a_letterbox(name: str, seed: int, width: int, height: int, side: int) -> None:
    one = DIALECTS[name]
    wanted = targets(name, width, height, seed)
    frame = Frame.letterbox(width, height, side, side)
    if min(frame.width, frame.height) < 4:
        return
    answer = one.decode(one.encode(wanted, frame), frame)
    assert answer.outcome is Outcome.FOUND
    for got, want in zip(answer.prompts, wanted.to(frame), strict=True):
        assert moved(got, want) <= 2.0 + 1e-6


# labels that hold what the tolerant reader looks for: quotation marks, brackets, tags, fences, escapes
ODD = """
, " say, "stop" “ ” „stop‟ ' ‘it’s’ ` [ ] { } ( ) [1,2,3,4] : ; // /* */ # ``` ```json \\ \\" \n <think> </think>
<answer> </answer> <box> </box> <|ref|> <|det|> <|box_start|> <loc_1> <loc0001> <point x="1" y="2"> </s>
<|im_end|> null None a", "bbox_2d": [0,0,10,10], "z": "b {"bbox_2d":[0,0,10,10]} "point_2d": 船 ٣ é \u2028
"""
ODD_LABELS = st.one_of(
    st.none(),
    st.sampled_from([*LABELS[1:], *ODD.strip().splitlines()]),
    st.lists(st.sampled_from([*ODD.split(), " ", "ship"]), max_size=6).map("".join),
    st.text(st.characters(), max_size=12),
)


@pytest.mark.parametrize("name", sorted(DIALECTS))
@settings(max_examples=30)
@given(st.lists(ODD_LABELS, min_size=1, max_size=3), st.integers(0, 1))
def test_what_the_strict_reader_reads_is_never_mended(name: str, labels: list[str | None], points: int) -> None:
    one = DIALECTS[name]
    frame = one.frame(640, 480)
    w, h = frame.width, frame.height
    near = ((0.2 * w, 0.3 * h), (0.25 * w, 0.35 * h))[: max(points, POINTS.get(name, 0))]
    box = (0.1 * w, 0.2 * h, 0.5 * w, 0.6 * h)
    items = tuple(Prompt(frame, None if name in BOXLESS else box, near, label=label) for label in labels)
    text = one.encode(Prompts(frame, items[:1] if name == "seg-zero" else items), frame, thinking='so "left", right')
    strict, mended = one.decode(text, frame, strict=True), one.decode(text, frame)
    assert strict.outcome is Outcome.FOUND or not text.startswith(("[", "```", "<think>", "<|begin")), strict.text
    if strict.outcome is Outcome.FOUND:
        assert (mended, mended.repairs) == (strict, ())
        assert len(mended.prompts) == (1 if name == "seg-zero" else len(items))


@given(st.lists(ODD_LABELS, min_size=1, max_size=3), st.booleans(), st.sampled_from(["", "<think>why</think>", "So: "]))
def test_what_json_reads_is_never_mended(labels: list[str | None], ascii_only: bool, before: str) -> None:
    # further keys break the exact form, but not JSON: labels stay whole, and nothing in them is a target or a tag
    value: list[dict[str, Any]] = [{"bbox_2d": [1, 2, 3, 4], "mood": label, "label": label} for label in labels]
    text = json.dumps(value, ensure_ascii=ascii_only)
    notes = Notes()
    assert split_reply(text, notes).answer == text
    assert [part.data for part in read_values(text, notes).values] == [json.loads(text)]
    assert notes.lines() == ()
    one = DIALECTS["qwen3-vl"]
    frame = one.frame(640, 480)
    answer = one.decode(f"{before}```json\n{text}\n```<|im_end|>", frame)
    canonical = one.encode(Prompts(frame, tuple(Prompt(frame, (1, 2, 3, 4), label=label) for label in labels)), frame)
    expected = one.decode(canonical, frame, strict=True)
    assert answer.outcome is Outcome.FOUND
    assert answer.prompts == expected.prompts
    assert {line for line in answer.repairs if "key" not in line and "words around" not in line} == set()


def test_json_in_a_string_is_unwrapped_where_it_is_no_label() -> None:
    one = DIALECTS["qwen3-vl"]
    inner = json.dumps([{"bbox_2d": [1, 2, 30, 40], "label": 'say, "stop"'}])
    wrapped = one.decode(json.dumps({"answer": inner}), one.frame(640, 480))
    assert [prompt.label for prompt in wrapped.prompts] == ['say, "stop"']
    assert "escaped quotation marks" in wrapped.repairs
    assert len(one.decode(json.dumps([{"bbox_2d": [1, 2, 30, 40], "label": inner}]), one.frame(640, 480)).prompts) == 1


@pytest.mark.parametrize(
    "label", ["a", 'say, "stop"', "“stop”", "</think>", "</answer>", "<think>", 'a", "bbox_2d": [0,0,9,9']
)
def test_whole_items_before_a_break_are_kept_as_they_are(label: str) -> None:
    one = DIALECTS["qwen3-vl"]
    text = json.dumps([{"bbox_2d": [1, 2, 30, 40], "label": label}] * 2, ensure_ascii=False)
    answer = one.decode(text[: text.rindex('"label"')], one.frame(640, 480))
    assert (answer.outcome, [prompt.label for prompt in answer.prompts]) == (Outcome.TRUNCATED, [label])


@pytest.mark.parametrize("label", ["</think>", "</answer>", "<think>", "<answer>a", "say, stop"])
def test_tags_in_strings_with_single_quotation_marks_are_text(label: str) -> None:
    one = DIALECTS["qwen3-vl"]
    text = str([{"bbox_2d": [1, 2, 30, 40], "label": label}, {"bbox_2d": [5, 6, 70, 80], "label": "b"}])
    for reply in (text, f"<think>the user's words</think><answer>{text}</answer>"):
        answer = one.decode(reply, one.frame(640, 480))
        assert (answer.outcome, [prompt.label for prompt in answer.prompts]) == (Outcome.FOUND, [label, "b"])
