from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.datasets import Sample, open_dataset
from fiducial.geometry import Frame, Mask, Prompts
from fiducial.images import Image
from fiducial.language.dialects import dialect
from fiducial.prompters.templates import template_names
from fiducial.synthetic.referring import ReferringDataset, referring_expressions
from fiducial.training.augmentation import Move, SampleInContext, augmented, in_context, mirrored_words, moved
from fiducial.training.sft_configs import AnswerConfig, Augmentation
from fiducial.training.sft_samples import ExampleWriter


def sample_of(instruction, boxes, size=(60, 100), labels=()):
    masks = tuple(Mask.from_box(box, *size) for box in boxes)
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    return Sample("one", None, Image(pixels), instruction, masks, size, labels=labels)


@pytest.mark.parametrize(
    ("words", "swapped"),
    [
        ("the leftmost ship", "the rightmost ship"),
        ("The Ship on the RIGHT", "The Ship on the LEFT"),
        ("top-left corner", "top-right corner"),
        ("north-east of the south western pier", "north-west of the south eastern pier"),
        ("the northeast one", "the northwest one"),
        ("her left-hand side, facing leftwards", "her right-hand side, facing rightwards"),
        ("the bright upright feast", "the bright upright feast"),
        ("left_lung", "right_lung"),
        ("easter egg", None),
        ("the right whale", None),
        ("the hand that turns clockwise", None),
        ("the word above the door", None),
        ("leftovers on the left", None),
    ],
)
def test_sides_in_words_change_places(words, swapped):
    assert mirrored_words(words) == swapped
    if swapped is not None:
        assert mirrored_words(swapped) == words


@given(
    st.integers(2, 60).flatmap(lambda width: st.tuples(st.just(width), st.integers(0, width - 2))),
    st.integers(1, 40),
    st.booleans(),
)
def test_pixels_masks_and_boxes_are_moved_alike(extent, height, mirrored):
    width, left = extent
    move = Move(left, 0, width - left, height, mirrored)
    dense = np.random.default_rng([width, left, height]).random((height, width)) < 0.3
    mask = Mask.from_dense(dense)
    after = move.mask(mask)
    assert np.array_equal(after.to_dense(), move.pixels(dense))
    inside = Mask.from_dense(np.where(np.arange(width) >= left, dense, False))
    assert after.box == (inside.box and move.box(inside.box))
    if mirrored and not left:
        assert move.mask(after) == mask


BOX = st.tuples(st.integers(0, 80), st.integers(0, 40), st.integers(4, 19), st.integers(4, 19))
DIALECTS = ("sjtu", "qwen2.5-vl", "qwen3-vl", "think2seg", "internvl", "gemini", "paligemma", "deepseek-vl2")


@given(st.lists(BOX, min_size=1, max_size=3), st.sampled_from(DIALECTS))
def test_the_answer_of_a_mirrored_picture_decodes_to_mirrored_prompts(rows, name):
    boxes = [(float(x), float(y), float(x + w), float(y + h)) for x, y, w, h in rows]
    item = SampleInContext(sample_of("all things on the left", boxes, labels=("thing on the left",) * len(boxes)))
    after = moved(item, Move(0, 0, 100, 60, mirrored=True))
    assert after.sample.instruction == "all things on the right"
    writer = ExampleWriter(AnswerConfig(dialect=name, template=name if name in template_names() else "sjtu"))
    example = writer.write(after)
    answer = dialect(name).decode(example.answer, example.frame(writer.dialect), strict=True)
    pixels = [one.to(Frame.pixels(100, 60)) for one in answer.prompts]
    step, masks = 1000 / 999 if name != "sjtu" else 0.1, after.sample.instances
    mirrored = [((100 - x2, y1, 100 - x1, y2), mask) for (x1, y1, x2, y2), mask in zip(boxes, masks, strict=True)]
    mirrored.sort(key=lambda pair: (pair[0][0] + pair[0][2], pair[0][1]))
    for one, written, (box, mask) in zip(pixels, example.prompts, mirrored, strict=True):
        assert one.box == pytest.approx(box, abs=step)
        assert one.label in (None, "thing on the right")
        assert all(mask.contains(point) for point in written.points)


@pytest.mark.parametrize("spec", ["scenes:shapes?count=24&seed=5&size=128", "scenes:aerial?count=4&seed=5&size=256"])
def test_words_of_moved_scenes_still_mean_the_same_things(spec):
    dataset = open_dataset(spec)
    changed = cropped = swapped = 0
    for index in range(len(dataset)):
        item = in_context(dataset, index)
        after = augmented(item, Augmentation(flip=1.0, crop=1.0, min_side=0.4), 0, index)
        changed += after is not item
        cropped += after.sample.size != item.sample.size
        swapped += after.sample.instruction != item.sample.instruction
        assert len(after.sample.instances) == len(item.sample.instances)
        assert [mask.area for mask in after.sample.instances] == [mask.area for mask in item.sample.instances]
        if item.resolution() is not None:
            assert after.resolution() is not None
    assert changed > len(dataset) / 2
    assert cropped > 0
    assert swapped > 0


def test_what_is_drawn_depends_on_sample_seed_and_epoch_alone():
    dataset = open_dataset("scenes:shapes?count=4&seed=5&size=128")
    draw = Augmentation(flip=0.5, crop=1.0)

    def picture(index, seed, epoch):
        return augmented(in_context(dataset, index), draw, seed, epoch).sample.image().digest

    assert picture(1, 0, 1) == picture(1, 0, 1)
    assert len({picture(1, seed, epoch) for seed in (0, 1) for epoch in (0, 1, 2)}) > 2
    item = in_context(dataset, 0)
    assert augmented(item, Augmentation(flip=0.0, crop=0.0), 0, 0) is item


@pytest.mark.parametrize(
    ("instruction", "move", "allowed"),
    [
        ("the ships", Move(0, 0, 90, 60), True),
        ("the ships", Move(20, 0, 80, 60), False),  # a target would be cut
        ("the ships in the upper left", Move(0, 0, 90, 60), False),  # no longer there
        ("the two largest ships", Move(0, 0, 90, 60), False),  # the things outside are not known
        ("what carries people over water?", Move(0, 0, 90, 60), False),
        ("the ships in the upper left", Move(0, 0, 100, 60, mirrored=True), True),
        ("the second column of ships", Move(0, 0, 100, 60, mirrored=True), False),  # counted from the left
        ("every other ship", Move(0, 0, 100, 60, mirrored=True), False),
    ],
)
def test_moves_that_could_make_words_untrue_are_not_made(instruction, move, allowed):
    item = SampleInContext(sample_of(instruction, [(5, 5, 20, 20), (30, 5, 50, 20)]))
    assert (moved(item, move) is not None) is allowed


def test_a_dataset_of_boxes_is_moved_with_its_labels():
    sample = sample_of("the left hand", [(5, 5, 20, 20)])
    boxes = Prompts.from_boxes(sample.frame, [(5, 5, 20, 20)], labels=["left hand"])
    after = moved(
        SampleInContext(replace(sample, instances=None, boxes=boxes)), Move(0, 0, 100, 60, mirrored=True)
    ).sample
    assert (after.boxes[0].box, after.boxes[0].label) == ((80, 5, 95, 20), "right hand")
    assert after.instruction == "the right hand"


def test_referring_expressions_know_the_other_things():
    source = open_dataset("scenes:shapes?count=6&seed=2&size=128")
    whole = [source.everything(index) for index in range(len(source))]
    from fiducial.datasets.splits import Selection

    every = Selection("whole", whole)
    dataset = ReferringDataset(every, referring_expressions(every, per_image=3))
    items = [in_context(dataset, index) for index in range(len(dataset))]
    assert all(len(one.things) >= len(one.sample.instances) for one in items)
    assert sum(one.resolution() is not None for one in items) > len(items) / 2
