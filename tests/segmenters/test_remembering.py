import numpy as np
import pytest

from fakes import BoxSegmenter
from fiducial import Image, Prompt, Prompts
from fiducial.errors import ModelError
from fiducial.segmenters.remembering import RememberingSegmenter


class Counting(BoxSegmenter):
    """Notes which boxes came in each call."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def decode(self, embedding, prompts):
        self.calls.append([prompt.box[0] for prompt in prompts])
        return super().decode(embedding, prompts)


def image(seed=0):
    return Image(np.random.default_rng(seed).integers(0, 255, (20, 30, 3)).astype(np.uint8))


def boxes(*lefts):
    return Prompts.from_boxes(image().frame, [(left, 0, left + 5, 5) for left in lefts])


def test_only_what_is_not_known_is_cut_and_equal_prompts_once():
    inner = Counting()
    kept = RememberingSegmenter(inner)
    plain = BoxSegmenter()
    for lefts in ((1, 2, 1), (2, 3, 1), (3,), ()):
        found = kept.decode(kept.encode(image()), boxes(*lefts))
        assert found == plain.decode(plain.encode(image()), boxes(*lefts))
    assert inner.calls == [[1, 2], [3]]
    assert kept.counts == {"encoded": 1, "decoded": 2, "cut": 3}
    other = kept.encode(image(1))
    kept.decode(other, boxes(1))
    assert inner.calls[-1] == [1]  # another picture's mask is another


def test_label_and_score_make_no_other_mask_and_points_do():
    inner = BoxSegmenter()
    kept = RememberingSegmenter(inner)
    frame = image().frame
    some = [
        Prompt(frame, (1, 1, 6, 6)),
        Prompt(frame, (1, 1, 6, 6), label="ship", score=0.3),
        Prompt(frame, (1, 1, 6, 6), points=((2, 2),)),
        Prompt(frame, (1, 1, 6, 6), points=((2, 2),), point_labels=(0,)),
    ]
    for one in some:
        kept.decode(kept.encode(image()), Prompts(frame, (one,)))
    assert kept.counts["cut"] == 3


def test_what_was_not_used_for_longest_goes():
    inner = Counting()
    kept = RememberingSegmenter(inner, memory_bytes=0, masks=2)
    for lefts in ((1,), (2,), (1,), (3,), (1, 2)):
        kept.decode(kept.encode(image()), boxes(*lefts))
    assert inner.calls == [[1], [2], [3], [2]]
    assert kept.counts["encoded"] == 5  # nothing fits into no memory


def test_a_segmenter_that_returns_too_few_masks_is_an_error():
    class Lazy(BoxSegmenter):
        def decode(self, embedding, prompts):
            return super().decode(embedding, prompts)[1:]

    kept = RememberingSegmenter(Lazy())
    with pytest.raises(ModelError, match="1 masks for 2 prompts"):
        kept.decode(kept.encode(image()), boxes(1, 2))
