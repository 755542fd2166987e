import numpy as np
import pytest

from fiducial.datasets import Sample, open_dataset
from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.language import Outcome
from fiducial.language.dialects import DIALECTS, dialect
from fiducial.overlays import GridOverlay
from fiducial.prompters.showing import Question, Reply, read_reply
from fiducial.training.augmentation import SampleInContext, in_context
from fiducial.training.sft_configs import AnswerConfig
from fiducial.training.sft_samples import ExampleWriter, NoAnswerError, explanation, on_whole_pixels, points_written

SIZE = (90, 160)
BOXES = [(20.0, 10.0, 60.0, 50.0), (100.0, 40.0, 150.0, 80.0)]
ONE_TARGET = {"seg-zero"}


def item(boxes=BOXES, instruction="the ships", size=SIZE):
    masks = tuple(Mask.from_box(box, *size) for box in boxes)
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    return SampleInContext(Sample("one", None, Image(pixels), instruction, masks, size, labels=("ship",) * len(boxes)))


def read_back(writer, example, image):
    question = Question(example.image, example.instruction)
    answer = read_reply(Reply(example.answer), writer.dialect, example.picture, example.canvas, question, None, "")
    return answer.to(image.frame)


@pytest.mark.parametrize("name", [name for name in DIALECTS if not name.startswith("molmo")])
@pytest.mark.parametrize("canvas", [None, (448, 448)])
def test_prompters_read_the_truth_back(name, canvas):
    given = item(BOXES[:1] if name in ONE_TARGET else BOXES)
    writer = ExampleWriter(AnswerConfig(dialect=name, template="sjtu", canvas=canvas))
    example = writer.write(given)
    answer = read_back(writer, example, given.sample.image())
    assert answer.outcome is Outcome.FOUND
    assert not answer.repairs
    step = 160 / 32 if name == "kosmos2" else 1.0
    for prompt, mask in zip(answer.prompts, given.sample.instances, strict=True):
        assert prompt.box == pytest.approx(mask.box, abs=step)
        assert len(prompt.points) == sum(points_written(writer.dialect))
        assert all(mask.contains(point) for point in prompt.positive_points)


def test_a_dialect_of_points_gets_the_deepest_one():
    given = item()
    writer = ExampleWriter(AnswerConfig(dialect="molmo", template="sjtu"))
    answer = read_back(writer, writer.write(given), given.sample.image())
    for prompt, mask in zip(answer.prompts, given.sample.instances, strict=True):
        assert prompt.points[0] == pytest.approx(mask.inner_point(), abs=0.2)


@pytest.mark.parametrize("name", DIALECTS)
def test_nothing_is_answered_where_nothing_is_meant(name):
    given = item([], "the submarine")
    writer = ExampleWriter(AnswerConfig(dialect=name, template="sjtu"))
    example = writer.write(given)
    answer = writer.dialect.decode(example.answer, example.frame(writer.dialect), strict=True)
    assert answer.outcome is Outcome.NO_TARGET
    assert answer.thinking in ("", "The picture shows nothing of the kind.")


def test_points_are_drawn_by_the_seed_and_a_tiny_target_gets_enough():
    writer = ExampleWriter(AnswerConfig(dialect="think2seg"))
    one, same, other = (writer.write(item(), seed) for seed in (1, 1, 2))
    assert one.answer == same.answer
    assert one.answer != other.answer
    assert all(len(prompt.points) == 2 for prompt in one.prompts)
    tiny = writer.write(item([(7.0, 7.0, 8.0, 8.0)]))
    assert tiny.prompts[0].points == ((7.5, 7.5), (7.5, 7.5))


def test_a_padded_picture_is_counted_in_whole():
    given = item()
    writer = ExampleWriter(AnswerConfig(dialect="llava"))
    example = writer.write(given)
    assert example.picture.size == (160, 160)
    assert example.answer.startswith("[[0.125, 0.281, ")  # y: (10 + 35) / 160
    assert read_back(writer, example, given.sample.image()).prompts[0].box == pytest.approx(BOXES[0], abs=0.2)


def test_overlays_are_drawn_on_the_canvas_and_words_are_filled():
    given = item()
    config = AnswerConfig(dialect="sjtu", canvas=(256, 256), overlays=(GridOverlay(columns=4, rows=4),))
    example = ExampleWriter(config).write(given)
    plain = given.sample.image().stretched((256, 256))
    assert np.array_equal(example.picture.pixels, GridOverlay(columns=4, rows=4)(plain).pixels)
    assert "the ships" in example.user
    assert example.answer == "[[0.1250, 0.1111, 0.3750, 0.5556], [0.6250, 0.4444, 0.9375, 0.8889]]"


def test_control_words_of_an_instruction_are_no_places_for_pictures():
    example = ExampleWriter(AnswerConfig(dialect="sjtu")).write(item(instruction="the <image> ships"))
    assert "<image>" not in example.user


def test_the_choice_is_explained_where_the_resolver_makes_it():
    dataset = open_dataset("scenes:shapes?count=12&seed=4&size=128")
    chosen = 0
    for index in range(len(dataset)):
        given = in_context(dataset, index)
        text = explanation(given)
        chosen += text.startswith("Chose")
        assert "square pixels" not in text
        if given.resolution() is None:
            assert not text.startswith("Chose")
    assert chosen > 6
    assert explanation(item()) == "They lie in different parts of the picture."
    quiet = ExampleWriter(AnswerConfig(dialect="think2seg", thinking=False)).write(item())
    assert "<think></think>" in quiet.answer


def test_what_a_dialect_cannot_hold_is_an_error():
    with pytest.raises(NoAnswerError, match=r"one.*seg-zero"):
        ExampleWriter(AnswerConfig(dialect="seg-zero")).write(item())
    sample = item().sample
    boxes = Prompts.from_boxes(sample.frame, BOXES)
    only_boxes = SampleInContext(Sample("b", None, sample.picture, "the ships", None, SIZE, boxes=boxes))
    with pytest.raises(NoAnswerError, match="boxes only"):
        ExampleWriter(AnswerConfig(dialect="think2seg")).write(only_boxes)
    assert ExampleWriter(AnswerConfig(dialect="sjtu")).write(only_boxes).answer.count("[") == 3


def test_whole_pixels_are_written_as_such_and_read_back():
    one = Prompt(Frame.pixels(100, 50), box=(10.3, 5.0, 10.4, 49.9), points=((20.0, 20.0),), point_labels=(1,))
    moved = on_whole_pixels(Prompts(one.frame, (one,)), (64, 64))
    seen = moved.to(Frame.pixels(64, 64))[0]
    assert seen.box == pytest.approx((7, 6, 8, 64))
    assert seen.points[0] == pytest.approx((13, 26))


def test_targets_are_written_from_left_to_right():
    given = item(BOXES[::-1])
    example = ExampleWriter(AnswerConfig(dialect="sjtu", whole_pixels=True, canvas=(64, 64))).write(given)
    read = dialect("sjtu").decode(example.answer, example.frame(dialect("sjtu"))).prompts.to(Frame.pixels(64, 64))
    assert [one.box for one in read] == [pytest.approx(box, abs=0.01) for box in ((8, 7, 24, 36), (40, 28, 60, 57))]
