from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import InputError
from fiducial.geometry import Frame, Prompt, Prompts
from fiducial.segmenters.batching import batches

FRAME = Frame.pixels(100, 100)


@given(
    kinds=st.lists(st.tuples(st.booleans(), st.integers(0, 3)).filter(any), max_size=30),
    maximum=st.integers(1, 8),
)
def test_every_prompt_is_in_one_batch_of_its_like(kinds: list[tuple[bool, int]], maximum: int) -> None:
    prompts = Prompts(
        FRAME,
        tuple(
            Prompt(
                FRAME,
                box=(place, 0, place + 1, 1) if box else None,
                points=tuple((place, k) for k in range(count)),
                point_labels=tuple(k % 2 for k in range(count)),
            )
            for place, (box, count) in enumerate(kinds)
        ),
    )
    found = list(batches(prompts, maximum))
    assert sorted(place for batch in found for place in batch.places) == list(range(len(kinds)))
    for batch in found:
        assert 1 <= len(batch) <= maximum
        (kind,) = {kinds[place] for place in batch.places}
        assert (batch.boxes is not None, 0 if batch.points is None else batch.points.shape[1]) == kind
        for row, place in enumerate(batch.places):
            if batch.boxes is not None:
                assert tuple(batch.boxes[row]) == prompts[place].box
            if batch.points is not None and batch.labels is not None:
                assert tuple(map(tuple, batch.points[row])) == prompts[place].points
                assert tuple(batch.labels[row]) == prompts[place].labels
                assert batch.labels.dtype == np.int64


def test_as_few_batches_as_there_are_signatures() -> None:
    prompts = Prompts(FRAME, tuple(Prompt(FRAME, box=(0, 0, 1, 1), points=((1, 1),) * (i % 2)) for i in range(10)))
    assert [batch.places for batch in batches(prompts, 32)] == [(0, 2, 4, 6, 8), (1, 3, 5, 7, 9)]
    assert [len(batch) for batch in batches(prompts, 3)] == [3, 2, 3, 2]


def test_an_impossible_maximum() -> None:
    with pytest.raises(InputError, match="at least one prompt, got 0"):
        list(batches(Prompts(FRAME), 0))
