"""What is written is read back within the dialect's step, for any frame and any targets."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.geometry import Frame, Prompt, Prompts
from fiducial.language import Outcome
from fiducial.language.dialects import DIALECTS

STEPS = {"sjtu": 1e-4, "llava": 1e-3, "molmo": 0.1}
WIDENED = {"florence2": 1.5, "paligemma": 2.0}  # a thin box at the edge moves by more than a step
BOXLESS = {"molmo"}
POINTS = {"think2seg": 2, "visionreasoner": 1, "seg-zero": 2, "molmo": 1}
LABELS = (None, "ship", "big ship", "the two-storey house", "l'oiseau", "船", "no. 7")
SIZES = st.integers(min_value=30, max_value=5000)
SEEDS = st.integers(min_value=0, max_value=2**32)


def targets(name: str, width: int, height: int, seed: int) -> Prompts:
    """A few targets, thin and edge-hugging ones among them."""
    draw = random.Random(seed)
    frame = Frame.pixels(width, height)
    items = []
    for _ in range(1 if name == "seg-zero" else draw.randint(1, 5)):
        (x1, x2), (y1, y2) = (span(draw, size) for size in (width, height))
        points = tuple((share(draw) * width, share(draw) * height) for _ in range(POINTS.get(name, 0)))
        box = None if name in BOXLESS else (x1, y1, x2, y2)
        items.append(Prompt(frame, box, points, label=draw.choice(LABELS)))
    return Prompts(frame, tuple(items))


def share(draw: random.Random) -> float:
    return draw.choice((0.0, 1.0, 0.5, draw.random(), draw.random(), draw.random()))


def span(draw: random.Random, size: int) -> tuple[float, float]:
    low = min(share(draw), 0.9999)
    extent = draw.choice((1e-4, 1e-3, 1.0, draw.random(), draw.random()))
    return low * size, min(low + extent, 1.0) * size


def moved(got: Prompt, want: Prompt) -> float:
    """Return by how much the furthest number of the box moved."""
    assert (got.box is None) == (want.box is None)
    return max((abs(a - b) for a, b in zip(got.box or (), want.box or (), strict=True)), default=0.0)


@pytest.mark.parametrize("name", sorted(DIALECTS))
@settings(max_examples=150, deadline=None)
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
@settings(max_examples=60, deadline=None)
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
