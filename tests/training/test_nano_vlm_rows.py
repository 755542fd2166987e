"""Rows in the thinking of a small vision-language model: who stands in them, and how they are learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fiducial.config import read
from fiducial.errors import InputError
from fiducial.geometry import Frame, Prompt
from fiducial.language import Outcome
from fiducial.language.candidates import Candidate
from fiducial.language.dialects import dialect
from fiducial.language.phrases import resolve
from fiducial.training.nano_vlm_configs import NanoVLMConfig
from fiducial.training.nano_vlm_data import STRIDE, PackedBatches, Writer, ask
from fiducial.training.nano_vlm_pictures import read_pools
from fiducial.training.nano_vlm_rows import middles, rows_of, told
from fiducial.training.nano_vlm_words import make_tokenizer, number_tokens

CANVAS = 64
FRAME = Frame.pixels(100, 100)
DISCS = [(60, 10, 70, 20), (0, 40, 30, 70), (40, 80, 60, 100), (80, 52, 90, 62)]  # third, first, second, fourth


def rows(words, boxes=DISCS):
    return rows_of(resolve(words, [Candidate(Prompt(FRAME, box=box, label="disc")) for box in boxes], FRAME, rest=True))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("the leftmost disc", [(1, 2, 0, 3)]),
        ("the third disc from the left", [(1, 2, 0, 3)]),
        ("the second disc from the bottom", [(2, 3, 1, 0)]),
        ("the two rightmost discs", [(3, 0, 2, 1)]),
        ("the second largest disc", [(1, 2, 0, 3)]),
        ("the last disc from the left", [(3, 0, 2, 1)]),
        ("the rightmost of the two largest discs", [(1, 2, 0, 3), (2, 1)]),
        ("the leftmost disc and the topmost disc", [(1, 2, 0, 3), (0, 1, 3, 2)]),
        ("the fifth disc from the left", [(1, 2, 0, 3)]),  # there is none
        ("the leftmost star", []),
        ("every other disc from the left", []),
        ("all discs", []),
        ("the disc in the lower half", []),
    ],
)
def test_a_row_is_what_a_choice_was_made_from(words, expected):
    assert rows(words) == expected


def test_a_row_for_which_there_are_no_words_is_not_told():
    many = [(10 * index, 0, 10 * index + 5, 9) for index in range(8)]
    assert rows("the fifth disc from the left", many) == [(0, 1, 2, 3, 4)]
    assert rows("the sixth disc from the left", many) == []


def test_places_are_whole_pixels_of_the_canvas():
    assert middles([1, 0], np.array([[60.0, 10, 67, 20], [63.9, 62, 65, 66]]), CANVAS) == [(63, 63), (63, 15)]
    assert told([]) == ""


@pytest.fixture(scope="module")
def config():
    return read(
        NanoVLMConfig,
        {
            "stage": "answers",
            "steps": 4,
            "batch_size": 4,
            "frozen": 0.0,  # every cell is shown
            "num_workers": 0,
            "num_threads": 1,
            "thinking": "row",
            "often": ["order"],
            "often_part": 1.0,
            "network": {"canvas": CANVAS},
            "data": [{"dataset": "scenes:shapes?count=12&seed=1&size=96", "name": "shapes"}],
        },
        "test",
    )


@pytest.fixture(scope="module")
def pools(config):
    return read_pools(config, Path())


@pytest.fixture(scope="module")
def writer(config):
    texts = ["The one at, second, third. Chose the leftmost of all discs. It lies in the picture."] * 3
    return Writer(config, make_tokenizer([dialect(name) for name, _ in config.dialects], CANVAS, texts))


@pytest.fixture(scope="module")
def asked(pools):
    random = np.random.default_rng(0)
    some = [ask(one, one.boxes, one.spots, random, 8, ("order",), "row") for one in pools[0].training]
    return [one for ones in some for one in ones]


def test_the_one_behind_the_word_of_the_question_is_answered(asked):
    ranks = set()
    for one in asked:
        assert one.thinking.startswith(f"{told([one.row])} Chose the ")
        boxes = [prompt.box for prompt in one.prompts]
        rank = next((k for k, word in enumerate(("second", "third"), 1) if word in one.said.instruction), 0)
        ranks.add(rank)
        for x, y in one.row[rank : rank + len(boxes)]:
            assert any(x1 <= x <= x2 and y1 <= y <= y2 for x1, y1, x2, y2 in boxes)
    assert ranks == {0, 1, 2}


def test_without_rows_the_sentence_stands_alone(pools):
    picture = pools[0].training[0]
    plain, with_rows = (
        ask(picture, picture.boxes, picture.spots, np.random.default_rng(1), 8, thinking=thinking)
        for thinking in ("sentence", "row")
    )
    assert all(one.row == () for one in plain)
    assert any(one.row for one in with_rows)
    for one, other in zip(plain, with_rows, strict=True):
        assert (one.said, one.prompts) == (other.said, other.prompts)
        assert other.thinking.endswith(one.thinking)


def test_places_in_a_row_are_learned_as_places(config, writer, asked):
    numbers = [number_tokens(writer.tokenizer, one, CANVAS) for one in writer.dialects]
    for one in asked:
        ids, kinds = writer.answer(one, 0)
        here = [token for token, kind in zip(ids, kinds, strict=True) if kind == 3]
        pixels = [token - numbers[0].start(token) for token in here]
        assert list(zip(pixels[::2], pixels[1::2], strict=True)) == list(one.row)
        assert kinds.count(2) == 4 * len(one.prompts)
        assert 3 not in writer.answer(one, 1)[1]  # a dialect that does not think
    text = writer.tokenizer.decode(ids[:-1])
    answer = writer.dialects[0].decode(text, Frame.pixels(CANVAS, CANVAS))
    assert answer.outcome is Outcome.FOUND
    assert answer.thinking == asked[-1].thinking
    assert len(answer.prompts) == len(asked[-1].prompts)


def test_before_each_place_the_model_is_to_look_there(config, pools, writer):
    batch = PackedBatches(config, pools, writer, sorted(pools[0].names))[0]
    start = writer.numbers[0]
    at = {tuple(place): index for index, place in enumerate(batch.at.tolist())}
    looked = 0
    for row, place, seen in batch.pointed.tolist():
        index = at[(row, place)]
        if int(batch.kind[index]) != 3 or int(batch.target[index]) < start.followed:
            continue
        x, y = int(batch.target[index]) - start.followed, int(batch.target[index + 1]) - start.first
        cell = int(batch.visible[int(batch.picture[row]), seen])
        assert cell == y // STRIDE * (CANVAS // STRIDE) + x // STRIDE
        looked += 1
    assert looked == int(((batch.kind == 3) & (batch.target >= start.followed)).sum()) > 0


def test_some_kinds_are_asked_alone_of_a_part_of_the_pictures(config, pools, writer):
    batches = PackedBatches(config, pools, writer, sorted(pools[0].names))
    found = {one.said.family for k in range(10) for one in batches._row(3, np.random.default_rng(k))[2]}
    assert found == {"order"}
    with pytest.raises(InputError, match="often: ordre: kinds of requests are class, count"):
        read(NanoVLMConfig, {"stage": "answers", "data": [{"dataset": "scenes:shapes"}], "often": ["ordre"]}, "test")
