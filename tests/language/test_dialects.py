from __future__ import annotations

from dataclasses import replace

import pytest

from fiducial.errors import GeometryError, InputError, UnknownNameError
from fiducial.geometry import Frame, Prompt, Prompts
from fiducial.language import Outcome
from fiducial.language.dialects import DIALECTS, dialect, dialect_for_family, think2seg

NAMES = [
    *("sjtu", "llava", "qwen2-vl", "qwen2-vl-native", "qwen2.5-vl", "qwen3-vl", "think2seg", "visionreasoner"),
    *("seg-zero", "internvl", "gemini", "paligemma", "florence2", "kosmos2", "molmo", "deepseek-vl2"),
    *("molmo2", "glm-4.5v", "kimi-vl"),
]


def ship(frame: Frame, *, box: bool = True, points: int = 2, label: str | None = "big ship") -> Prompts:
    """One target at a tenth to a half of the image."""
    w, h = frame.width, frame.height
    where = ((0.3 * w, 0.4 * h), (0.4 * w, 0.5 * h), (0.45 * w, 0.55 * h))[:points]
    return Prompts(frame, (Prompt(frame, (0.1 * w, 0.2 * h, 0.5 * w, 0.6 * h) if box else None, where, label=label),))


GOLDEN = {
    "sjtu": "[[0.1000, 0.2000, 0.5000, 0.6000]]",
    "llava": "[[0.100, 0.200, 0.500, 0.600]]",
    "qwen2-vl": '```json\n[\n{"bbox_2d": [100, 200, 500, 600], "label": "big ship"}\n]\n```',
    "qwen2-vl-native": ("<|object_ref_start|>big ship<|object_ref_end|><|box_start|>(100,200),(500,600)<|box_end|>"),
    "qwen2.5-vl": '```json\n[\n{"bbox_2d": [64, 95, 322, 286], "label": "big ship"}\n]\n```',
    "qwen3-vl": '```json\n[\n{"bbox_2d": [100, 200, 500, 600], "label": "big ship"}\n]\n```',
    "think2seg": (
        "<think>left</think>\n<answer>\n```json\n[\n"
        '{"bbox_2d": [84, 168, 420, 504], "positive_points": [[252, 336], [336, 420]]}\n]\n```\n</answer>'
    ),
    "visionreasoner": (
        '<think>left</think>\n<answer>\n[\n{"bbox_2d": [84, 168, 420, 504], "point_2d": [252, 336]}\n]\n</answer>'
    ),
    "seg-zero": (
        "<think>left</think>\n<answer>\n"
        '{"bbox": [84, 168, 420, 504], "points_1": [252, 336], "points_2": [336, 420]}\n</answer>'
    ),
    "internvl": "<ref>big ship</ref><box>[[100, 200, 500, 600]]</box>",
    "gemini": '```json\n[\n{"box_2d": [200, 100, 600, 500], "label": "big ship"}\n]\n```',
    "paligemma": "<loc0205><loc0102><loc0614><loc0512> big ship",
    "florence2": "big ship<loc_100><loc_200><loc_500><loc_600>",
    "kosmos2": "<phrase>big ship</phrase><object><patch_index_0195><patch_index_0623></object>",
    "molmo": '<point x="30.0" y="40.0" alt="big ship">big ship</point>',
    "deepseek-vl2": "<|ref|>big ship<|/ref|><|det|>[[100, 200, 500, 599]]<|/det|>",
    "molmo2": '<points coords="1 1 300 400">big ship</points>',
    "glm-4.5v": "<|begin_of_box|>[[100, 200, 500, 600]]<|end_of_box|>",
    "kimi-vl": '```json\n[\n{"bbox_2d": [0.1, 0.2, 0.5, 0.6], "label": "big ship"}\n]\n```',
}


def test_every_dialect_is_there() -> None:
    assert sorted(DIALECTS) == sorted(NAMES) == sorted(GOLDEN)
    for name, one in DIALECTS.items():
        assert one.name == name
        assert one.families
        assert one.summary


@pytest.mark.parametrize("name", NAMES)
def test_writing_is_exactly_the_family_s_form(name: str) -> None:
    one = dialect(name)
    frame = one.frame(640, 480)
    assert one.encode(ship(frame), frame, thinking="left") == GOLDEN[name]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_written_and_read_as_no_target(name: str) -> None:
    one = dialect(name)
    frame = one.frame(640, 480)
    text = one.encode(Prompts(frame), frame)
    for strict in (False, True):
        answer = one.decode(text, frame, strict=strict)
        assert (answer.outcome, len(answer.prompts), answer.repairs) == (Outcome.NO_TARGET, 0, ())


@pytest.mark.parametrize("name", NAMES)
def test_writing_converts_frames(name: str) -> None:
    one = dialect(name)
    pixels, own = Frame.pixels(640, 480), one.frame(640, 480)
    assert one.encode(ship(pixels), own, thinking="left") == GOLDEN[name]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("think2seg", "molmo", "molmo2")])
def test_points_alone(name: str) -> None:
    one = dialect(name)
    frame = one.frame(640, 480)
    prompts = ship(frame, box=False)
    if name in ("qwen2.5-vl", "qwen3-vl", "gemini", "kimi-vl"):
        answer = one.decode(one.encode(prompts, frame), frame, strict=True)
        assert answer.prompts[0].box is None
        assert len(answer.prompts[0].points) == 1
        assert answer.prompts[0].points[0] == pytest.approx(prompts[0].points[0], abs=0.5)
    else:
        with pytest.raises(GeometryError, match="points only: give it a box"):
            one.encode(prompts, frame)


def test_molmo_writes_no_boxes_and_groups_points_of_one_label() -> None:
    molmo = dialect("molmo")
    frame = molmo.frame(640, 480)
    with pytest.raises(GeometryError, match="positive point"):
        molmo.encode(ship(frame, points=0), frame)
    two = Prompts(frame, tuple(Prompt(frame, points=((x, 50.0),), label="ship") for x in (10.0, 20.04)))
    text = '<points x1="10.0" y1="50.0" x2="20.0" y2="50.0" alt="ship">ship</points>'
    assert molmo.encode(two, frame) == text
    answer = molmo.decode(text, frame, strict=True)
    assert [prompt.points for prompt in answer.prompts] == [((10.0, 50.0),), ((20.0, 50.0),)]
    assert [prompt.label for prompt in answer.prompts] == ["ship", "ship"]


def test_molmo2_counts_points_of_one_label_in_thousandths() -> None:
    molmo = dialect("molmo2")
    frame = molmo.frame(640, 480)
    two = Prompts(frame, tuple(Prompt(frame, points=((x, 7.0),), label="ship") for x in (100.4, 1000.0)))
    text = '<points coords="1 1 100 007 2 1000 007">ship</points>'
    assert molmo.encode(two, frame) == text
    answer = molmo.decode(text, frame, strict=True)
    assert [(prompt.points, prompt.label) for prompt in answer.prompts] == [
        (((100.0, 7.0),), "ship"),
        (((1000.0, 7.0),), "ship"),
    ]
    for broken in ('coords="1 2 100 007"', 'coords="2 1 100 007"', 'coords="1 1 100"', 'x="10.0" y="0.7"'):
        assert molmo.decode(f"<points {broken}>ship</points>", frame, strict=True).outcome is Outcome.MALFORMED


def test_think2seg_counts() -> None:
    plain, four, negative = think2seg(), think2seg(positive=3), think2seg(negative=1)
    frame = plain.frame(100, 100)
    with pytest.raises(GeometryError, match=r"needs 2 positive point\(s\) for 'positive_points', got 1"):
        plain.encode(ship(frame, points=1), frame)
    assert "[378, 462]" in four.encode(ship(frame, points=3), frame)
    with pytest.raises(GeometryError, match="needs 1 negative"):
        negative.encode(ship(frame), frame)
    prompts = Prompts(frame, (ship(frame)[0].with_points([(5, 6)], [0]),))
    text = negative.encode(prompts, frame)
    assert '"negative_points": [[5, 6]]' in text
    assert negative.decode(text, frame, strict=True).prompts[0].negative_points == ((5.0, 6.0),)
    assert negative.decode(text, frame).prompts == negative.decode(text, frame, strict=True).prompts
    for written in (text, text.replace("[[5, 6]]", "[]")):
        void = dialect("think2seg").decode(written, frame)
        assert (void.outcome, len(void.prompts)) == (Outcome.MALFORMED, 0)
        assert void.text == "the key 'negative_points' makes a reply of this form void"
    assert plain.decode(text, frame, strict=True).outcome is Outcome.MALFORMED
    assert "negative" not in plain.encode(prompts, frame)
    for counts in ((0, 0), (1, -1)):
        with pytest.raises(InputError, match="at least 1 positive"):
            think2seg(*counts)
    assert think2seg(side=896).canvas(640, 480) == (896, 896)


def test_seg_zero_writes_one_target() -> None:
    one = dialect("seg-zero")
    frame = one.frame(100, 100)
    with pytest.raises(GeometryError, match="one target, got 2"):
        one.encode(Prompts(frame, (*ship(frame), *ship(frame))), frame)


def test_thinking_with_tags_is_refused() -> None:
    one = dialect("think2seg")
    frame = one.frame(100, 100)
    with pytest.raises(InputError, match="tag"):
        one.encode(ship(frame), frame, thinking="so </think> that")


def test_what_lies_outside_is_clipped_or_refused() -> None:
    qwen = dialect("qwen3-vl")
    frame = qwen.frame(640, 480)
    over = Prompts.from_boxes(frame, [(900, 900, 1100, 1200)])
    assert "[900, 900, 1000, 1000]" in qwen.encode(over, frame)
    with pytest.raises(GeometryError, match="outside the image"):
        qwen.encode(Prompts.from_boxes(frame, [(1001, 0, 1100, 10)]), frame)
    with pytest.raises(GeometryError, match=r"point .* outside the image"):
        qwen.encode(Prompts(frame, (Prompt(frame, points=((1001, 5),)),)), frame)


def test_thin_boxes_are_widened_to_one_step() -> None:
    qwen, pali, florence = dialect("qwen3-vl"), dialect("paligemma"), dialect("florence2")
    thin = [(10.2, 20.0, 10.4, 30.0), (999.8, 20.0, 1000.0, 30.0)]
    frame = qwen.frame(640, 480)
    text = qwen.encode(Prompts.from_boxes(frame, thin), frame)
    assert "[10, 20, 11, 30]" in text
    assert "[999, 20, 1000, 30]" in text
    assert florence.encode(Prompts.from_boxes(frame, thin[1:]), frame) == "<loc_998><loc_20><loc_999><loc_30>"
    grid = pali.frame(640, 480)
    assert pali.encode(Prompts.from_boxes(grid, [(1023.8, 0, 1024, 9)]), grid) == (
        "<loc0000><loc1022><loc0009><loc1023>"
    )


def test_token_dialects_refuse_numbers_without_a_token() -> None:
    frame = Frame.canvas(4000, 3000)
    for name in ("paligemma", "florence2"):
        with pytest.raises(GeometryError, match="no tokens for the box"):
            dialect(name).encode(Prompts.from_boxes(frame, [(10, 10, 3000, 2000)]), frame)


def test_signs_in_labels_cannot_break_the_form() -> None:
    label = 'a <b> "c"; (d) [e]'
    for name in ("internvl", "deepseek-vl2", "qwen2-vl-native", "paligemma", "florence2", "kosmos2", "molmo", "molmo2"):
        one = dialect(name)
        frame = one.frame(64, 64)
        answer = one.decode(one.encode(ship(frame, label=label), frame), frame, strict=True)
        assert answer.prompts[0].label == "a b c d e", name
    qwen = dialect("qwen3-vl")
    frame = qwen.frame(64, 64)
    assert qwen.decode(qwen.encode(ship(frame, label=label), frame), frame).prompts[0].label == label
    odd = qwen.encode(ship(frame, label="a\ud800\nb"), frame)
    assert odd.encode()  # lone surrogates are escaped, so the text can be stored
    assert qwen.decode(odd, frame, strict=True).prompts[0].label == "a b"


CANVASES = [
    # width, height, limits, expected; expected values are those of smart_resize in transformers 5
    ("qwen2-vl", 640, 480, {}, (644, 476)),
    ("qwen2.5-vl", 1920, 1080, {}, (1932, 1092)),
    ("qwen2.5-vl", 10, 1000, {}, (28, 560)),
    ("qwen2-vl-native", 20000, 15000, {}, (4116, 3080)),
    ("qwen2.5-vl", 840, 840, {}, (840, 840)),
    ("qwen2.5-vl", 1, 1, {}, (56, 56)),
    ("qwen2.5-vl", 42, 70, {}, (56, 56)),
    ("qwen2.5-vl", 1000, 700, {"max_pixels": 1003520}, (1008, 700)),
    ("qwen2.5-vl", 4000, 3000, {"max_pixels": 1003520}, (1148, 840)),
    ("qwen3-vl", 640, 480, {}, (640, 480)),
    ("qwen3-vl", 100, 60, {}, (352, 224)),
    ("qwen3-vl", 9000, 8000, {}, (4320, 3840)),
    ("qwen3-vl", 5, 900, {}, (32, 3456)),
    ("think2seg", 640, 480, {}, (840, 840)),
    ("visionreasoner", 640, 480, {"side": 672}, (672, 672)),
    ("seg-zero", 640, 480, {}, (840, 840)),
    ("gemini", 641, 479, {}, (641, 479)),
]


@pytest.mark.parametrize(("name", "width", "height", "limits", "expected"), CANVASES)
def test_canvases(name: str, width: int, height: int, limits: dict[str, int], expected: tuple[int, int]) -> None:
    one = dialect(name)
    assert replace(one, sizing=replace(one.sizing, **limits)).canvas(width, height) == expected


def test_canvas_errors() -> None:
    with pytest.raises(InputError, match="positive size, got 0 x 480"):
        dialect("gemini").canvas(0, 480)
    with pytest.raises(InputError, match="too narrow"):
        dialect("qwen2.5-vl").canvas(1, 201)


def test_frames() -> None:
    assert dialect("sjtu").frame(640, 480) == Frame.unit()
    assert dialect("qwen2.5-vl").frame(640, 480) == Frame.canvas(644, 476)
    assert dialect("qwen2.5-vl").frame(640, 480, (1288, 952)) == Frame.canvas(1288, 952)
    assert dialect("think2seg").frame(640, 480) == Frame.canvas(840, 840)
    edges = {"deepseek-vl2": 999, "paligemma": 1024, "florence2": 1000, "kosmos2": 32, "molmo": 100, "gemini": 1000}
    edges |= {"molmo2": 1000, "glm-4.5v": 1000, "kimi-vl": 1}
    for name, edge in edges.items():
        assert dialect(name).frame(640, 480) == Frame.thousand(edge)
    # one third into a 640 pixel wide image, whatever the canvas
    answer = dialect("qwen2.5-vl").decode("[[161, 119, 322, 238]]", Frame.canvas(644, 476))
    assert answer.to(Frame.pixels(640, 480)).prompts[0].box == pytest.approx((160, 120, 320, 240))


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("qwen2_vl", "qwen2-vl"),
        ("qwen2_5_vl", "qwen2.5-vl"),
        ("qwen3_vl_moe", "qwen3-vl"),
        ("Qwen/Qwen2.5-VL-7B-Instruct-AWQ", "qwen2.5-vl"),
        ("Qwen/Qwen2-VL-2B-Instruct", "qwen2-vl"),
        ("google/paligemma2-3b-mix-448", "paligemma"),
        ("gemini-2.5-flash", "gemini"),
        ("deepseek_vl_v2", "deepseek-vl2"),
        ("OpenGVLab/InternVL3-8B", "internvl"),
        ("kosmos-2", "kosmos2"),
        ("llava_next", "llava"),
        ("microsoft/Florence-2-large", "florence2"),
        ("allenai/Molmo-7B-D-0924", "molmo"),
        ("allenai/Molmo2-8B", "molmo2"),
        ("zai-org/GLM-4.5V", "glm-4.5v"),
        ("glm4v_moe", "glm-4.5v"),
        ("moonshotai/Kimi-VL-A3B-Thinking-2506", "kimi-vl"),
        ("gpt-4o-2024-08-06", "sjtu"),
        ("Ricky06662/VisionReasoner-7B", "visionreasoner"),
    ],
)
def test_families(family: str, name: str) -> None:
    assert dialect_for_family(family).name == name


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'qwen2\.5-vl'"):
        dialect("qwen2.5vl")
    with pytest.raises(UnknownNameError, match="unknown model family 'mystery'"):
        dialect_for_family("mystery")
    for other in ("allenai/MolmoPoint-8B", "kosmos-2.5"):
        with pytest.raises(UnknownNameError):
            dialect_for_family(other)
    assert dialect(" Gemini ").name == "gemini"


def test_kosmos_agrees_with_the_published_decoder() -> None:
    # the example of the model's own documentation: fractions of the image
    text = (
        "<grounding> An image of<phrase> a snowman</phrase><object><patch_index_0044><patch_index_0863></object> "
        "warming himself by<phrase> a fire</phrase><object><patch_index_0005><patch_index_0911></object>."
    )
    one = dialect("kosmos2")
    for strict in (False, True):
        answer = one.decode(text, one.frame(640, 480), strict=strict).to(Frame.unit())
        assert [prompt.box for prompt in answer.prompts] == [
            (0.390625, 0.046875, 0.984375, 0.828125),
            (0.171875, 0.015625, 0.484375, 0.890625),
        ]
        assert [prompt.label for prompt in answer.prompts] == ["a snowman", "a fire"]
    assert answer.text == "An image of a snowman warming himself by a fire."
