import threading

import pytest

from fakes import BoxSegmenter
from fiducial.errors import ModelError
from fiducial.geometry import Prompts
from fiducial.rewards import MaskService
from fiducial.server.cutting import Cutter
from reward_server import completions, picture


class Held(BoxSegmenter):
    """Cuts when it is let; notes how many prompts came in each call."""

    def __init__(self):
        super().__init__()
        self.begun, self.let, self.calls = threading.Event(), threading.Event(), []

    def decode(self, embedding, prompts):
        self.begun.set()
        assert self.let.wait(60)
        self.calls.append(len(prompts))
        if any(prompt.box == (0, 0, 1, 1) for prompt in prompts):
            raise ZeroDivisionError("a bug")
        return super().decode(embedding, prompts)


def held(max_prompts=100):
    """Make a cutter that is busy with a first request until its segmenter is let."""
    segmenter = Held()
    cutter = Cutter(MaskService(segmenter), max_prompts)
    first = cutter.cut(picture(9), [Prompts.from_boxes(picture(9).frame, [(1, 1, 5, 5)])])
    assert segmenter.begun.wait(60)
    return segmenter, cutter, first


def box(*edges, image=None):
    return Prompts.from_boxes((image or picture()).frame, [edges])


def test_requests_about_one_image_that_wait_are_cut_together_and_each_gets_its_own():
    segmenter, cutter, first = held()
    groups = [completions(seed) for seed in range(3)]
    one, other = picture(0), picture(1)
    waiting = [cutter.cut(image, group) for image, group in zip((one, other, one), groups, strict=True)]
    segmenter.let.set()
    alone = MaskService(BoxSegmenter())
    expected = [alone.cut(image, group) for image, group in zip((one, other, one), groups, strict=True)]
    assert [done.result(60) for done in waiting] == expected
    assert len(first.result(60)) == 1
    assert len(segmenter.calls) == 3
    assert cutter.counts == {"requests": 4, "calls": 3}
    cutter.close()


def test_no_more_prompts_are_put_together_than_allowed_but_a_large_request_is_cut():
    segmenter, cutter, _ = held(max_prompts=2)
    three = Prompts.from_boxes(picture().frame, [(0, 0, 2, 2), (0, 0, 3, 3), (0, 0, 4, 4)])
    waiting = [cutter.cut(picture(), [group]) for group in (three, box(1, 1, 2, 2), box(1, 1, 3, 3), box(1, 1, 4, 4))]
    segmenter.let.set()
    assert [len(done.result(60)[0]) for done in waiting] == [3, 1, 1, 1]
    assert segmenter.calls == [1, 3, 2, 1]
    cutter.close()


def test_a_bug_meets_only_the_request_that_brings_it_out():
    segmenter, cutter, _ = held()
    waiting = [cutter.cut(picture(), [box(*edges)]) for edges in ((1, 1, 9, 9), (0, 0, 1, 1), (2, 2, 9, 9))]
    segmenter.let.set()
    assert waiting[0].result(60)[0][0].area == 64
    assert waiting[2].result(60)[0][0].area == 49
    with pytest.raises(ZeroDivisionError):
        waiting[1].result(60)
    assert cutter.ready
    cutter.close()


def test_who_goes_away_while_waiting_spoils_nothing_for_the_others():
    segmenter, cutter, first = held()
    waiting = [cutter.cut(picture(), [box(1, 1, 9, 9)]) for _ in range(2)]
    assert waiting[0].cancel()
    assert not first.cancel()  # it is being cut
    segmenter.let.set()
    assert waiting[1].result(60)[0][0].area == 64
    assert len(first.result(60)) == 1
    assert cutter.ready
    cutter.close()


def test_a_failing_segmenter_is_an_answer():
    cutter = Cutter(MaskService(BoxSegmenter(error=ModelError("out of memory"))), 100)
    assert [str(cut) for cut in cutter.cut(picture(), [box(1, 1, 9, 9)]).result(60)] == ["out of memory"]
    cutter.close()


def test_closing_finishes_what_waits_and_takes_nothing_more():
    segmenter, cutter, first = held()
    waiting = cutter.cut(picture(), [box(1, 1, 9, 9)])
    closing = threading.Thread(target=cutter.close)
    closing.start()
    assert not first.done()
    segmenter.let.set()
    closing.join(60)
    assert first.done()
    assert waiting.result(0)[0][0].area == 64
    assert not cutter.ready
    with pytest.raises(RuntimeError, match="closed"):
        cutter.cut(picture(), [])
