import gc
import threading
import weakref
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from fakes import BoxPrompter, BoxSegmenter
from fiducial import Frame, Image, Mask, Outcome, Pipeline, Prompt, Prompts
from fiducial.contracts import Refinement
from fiducial.errors import FrameError, GeometryError, ImageError, InputError, ModelError

GREY = np.full((30, 40, 3), 90, np.uint8)
BLUE = np.full((20, 20, 3), (0, 0, 200), np.uint8)


def test_instruction_to_masks():
    pipe = Pipeline(prompter=BoxPrompter((5, 5, 15, 10), (0, 0, 4, 4)), segmenter=BoxSegmenter(), name="told")
    result = pipe(GREY, " the ship ")
    assert result.outcome is Outcome.FOUND
    assert [mask.area for mask in result.masks] == [50, 16]
    assert result.mask.area == 66
    assert (result.recipe, result.instruction, result.text) == ("told", "the ship", "as told")
    assert result.prompts.frame == Frame.pixels(40, 30)
    assert result.seconds["total"] == pytest.approx(sum(v for k, v in result.seconds.items() if k != "total"))


def test_files_arrays_and_images_are_the_same_to_it(tmp_path):
    PIL.Image.fromarray(BLUE).save(tmp_path / "a.png")
    pipe = Pipeline(prompter=BoxPrompter((1, 1, 3, 3)), segmenter=BoxSegmenter())
    results = pipe.segment([tmp_path / "a.png", str(tmp_path / "a.png"), BLUE, Image(BLUE)], "it")
    assert len({result.image.digest for result in results}) == 1
    assert len(pipe.segmenter.encoded) == 1


def test_each_distinct_image_is_encoded_once_and_only_when_needed():
    pipe = Pipeline(prompter=BoxPrompter((1, 1, 3, 3)), segmenter=BoxSegmenter())
    results = pipe.segment([GREY, BLUE, GREY, GREY], ["a", "b", "c", "d"])
    assert len(pipe.segmenter.encoded) == 2
    assert [result.instruction for result in results] == ["a", "b", "c", "d"]
    nothing = Pipeline(prompter=BoxPrompter(outcome=Outcome.NO_TARGET), segmenter=BoxSegmenter())
    result = nothing(GREY, "a")
    assert (result.outcome, result.masks, result.mask.area) == (Outcome.NO_TARGET, (), 0)
    assert nothing.segmenter.encoded == []


@pytest.mark.parametrize("for_segmenter", [False, True])
def test_overlays_are_for_the_prompters_eyes(for_segmenter):
    pipe = Pipeline(
        prompter=BoxPrompter((1, 1, 3, 3)),
        segmenter=BoxSegmenter(),
        overlays=(lambda image: replace(image, pixels=image.pixels // 2),),
        overlay_for_segmenter=for_segmenter,
    )
    result = pipe(GREY, "a")
    assert pipe.prompter.seen[0][0].pixels.max() == 45
    assert pipe.segmenter.encoded[0].pixels.max() == (45 if for_segmenter else 90)
    assert result.image.pixels.max() == 90


def test_refiners_run_in_order():
    def grow(image, prompts):
        return Prompts(prompts.frame, tuple(replace(prompt, box=(0, 0, 10, 10)) for prompt in prompts))

    def point(image, prompts):
        return Prompts(prompts.frame, tuple(prompt.with_points([(1, 1)]) for prompt in prompts))

    def invert(image, mask, prompt):
        assert prompt.points == ((1, 1),)
        return mask.inverse()

    pipe = Pipeline(
        prompter=BoxPrompter((1, 1, 3, 3)),
        segmenter=BoxSegmenter(),
        prompt_refiners=(grow, point),
        mask_refiners=(invert,),
    )
    result = pipe(GREY, "a")
    assert result.masks[0].area == 30 * 40 - 100
    assert result.prompts[0].points == ((1, 1),)
    assert result.answer.prompts[0].box == (1, 1, 3, 3)


def test_boxes_past_the_image_are_clipped_and_noted():
    result = Pipeline(prompter=BoxPrompter((-5, 5, 15, 99), (50, 5, 60, 9)), segmenter=BoxSegmenter())(GREY, "a")
    assert [prompt.box for prompt in result.prompts] == [(0, 5, 15, 30)]
    assert result.answer.repairs == (
        "target 1: its box was clipped to the image",
        "target 2: its box lies outside the image",
    )
    lost = Pipeline(prompter=BoxPrompter((50, 5, 60, 9)), segmenter=BoxSegmenter())(GREY, "a")
    assert (lost.outcome, lost.text) == (Outcome.MALFORMED, "target 1: its box lies outside the image")


def test_a_model_that_fails_is_a_value_with_a_reason():
    error = ModelError("out of memory: use a smaller canvas")
    asked = Pipeline(prompter=BoxPrompter(error=error), segmenter=BoxSegmenter()).segment([GREY, BLUE], "a")
    assert [(result.outcome, result.text) for result in asked] == [(Outcome.FAILED, str(error))] * 2
    cut = Pipeline(prompter=BoxPrompter((1, 1, 3, 3)), segmenter=BoxSegmenter(error))(GREY, "a")
    assert (cut.outcome, cut.masks, len(cut.prompts)) == (Outcome.FAILED, (), 0)
    assert len(cut.answer.prompts) == 1


def test_truncated_answers_keep_their_masks():
    result = Pipeline(prompter=BoxPrompter((1, 1, 3, 3), outcome=Outcome.TRUNCATED), segmenter=BoxSegmenter())(
        GREY, "a"
    )
    assert (result.outcome, len(result.masks)) == (Outcome.TRUNCATED, 1)


def test_parts_that_lose_count_are_caught():
    pipe = Pipeline(prompter=BoxPrompter((1, 1, 3, 3)), segmenter=BoxSegmenter())
    pipe.segmenter.decode = lambda embedding, prompts: []
    assert "0 masks for 1 prompts" in pipe(GREY, "a").text
    pipe.prompter.ask = lambda images, instructions: []
    with pytest.raises(ModelError, match="0 answers for 1 images"):
        pipe(GREY, "a")


def test_cutting_needs_no_prompter():
    pipe = Pipeline(segmenter=BoxSegmenter())
    prompts = Prompts(
        Frame.unit(), (Prompt(Frame.unit(), box=(0, 0, 0.5, 0.5)), Prompt(Frame.unit(), points=((0.5, 0.5),)))
    )
    result = pipe.cut(GREY, prompts)
    assert [mask.area for mask in result.masks] == [20 * 15, 9]
    assert pipe.cut(GREY, Prompts(Frame.unit())).outcome is Outcome.NO_TARGET
    with pytest.raises(InputError, match="no prompter"):
        pipe(GREY, "a")


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Prompt(Frame.pixels(40, 30), box=(50, 0, 60, 5)), "its box lies outside the image .the image is 40 x 30"),
        (Prompt(Frame.pixels(40, 30), points=((50, 0),)), "outside the image"),
        (Prompt(Frame.pixels(40, 30), box=(0, 0, 5, 5), points=((50, 0),)), "dropped 1 point outside"),
    ],
)
def test_given_coordinates_outside_the_image_are_an_error(prompt, message):
    with pytest.raises(GeometryError, match=message):
        Pipeline(segmenter=BoxSegmenter()).cut(GREY, Prompts(prompt.frame, (prompt,)))


@pytest.mark.parametrize(
    ("images", "instructions", "message"),
    [
        ([GREY], [""], "is empty"),
        ([GREY], ["  "], "is empty"),
        ([GREY], ["x" * 2001], "2,001 characters"),
        ([GREY, GREY], ["a"], "got 1"),
    ],
)
def test_instructions_are_checked(images, instructions, message):
    with pytest.raises(InputError, match=message):
        Pipeline(prompter=BoxPrompter(), segmenter=BoxSegmenter()).segment(images, instructions)


def test_unreadable_images_are_named():
    with pytest.raises(ImageError, match=r"nowhere\.png: no such file"):
        Pipeline(prompter=BoxPrompter(), segmenter=BoxSegmenter())("nowhere.png", "a")


def test_the_result_of_an_empty_scene_is_an_empty_mask():
    result = Pipeline(prompter=BoxPrompter(outcome=Outcome.MALFORMED), segmenter=BoxSegmenter())(GREY, "a")
    assert result.mask == Mask.empty(30, 40)


def test_one_picture_that_is_too_much_does_not_lose_the_others():
    class Picky(BoxPrompter):
        def ask(self, images, instructions):
            if any(image.width == 20 for image in images):
                raise ModelError("too much")
            return super().ask(images, instructions)

    results = Pipeline(prompter=Picky((1, 1, 3, 3)), segmenter=BoxSegmenter()).segment([GREY, BLUE, GREY], "a")
    assert [result.outcome for result in results] == [Outcome.FOUND, Outcome.FAILED, Outcome.FOUND]


def test_what_would_fail_for_every_picture_is_asked_once():
    class DownError(ModelError):
        for_all = True

    class Gone(BoxPrompter):
        asked = 0

        def ask(self, images, instructions):
            self.asked += 1
            raise DownError("nobody listens at port 8000")

    pipe = Pipeline(prompter=Gone((1, 1, 3, 3)), segmenter=BoxSegmenter())
    results = pipe.segment([GREY, BLUE], "a")
    assert [(result.outcome, result.text) for result in results] == [
        (Outcome.FAILED, "nobody listens at port 8000")
    ] * 2
    assert pipe.prompter.asked == 1


def test_embeddings_are_let_go_after_their_last_use():
    alive = []

    class Watching(BoxSegmenter):
        def encode(self, image):
            embedding = super().encode(image)
            alive.append(weakref.ref(embedding.tensors["features"]))
            return embedding

        def decode(self, embedding, prompts):
            gc.collect()
            assert sum(ref() is not None for ref in alive) <= 2
            return super().decode(embedding, prompts)

    pictures = [np.full((4, 4, 3), value, np.uint8) for value in range(8)]
    Pipeline(prompter=BoxPrompter((1, 1, 3, 3)), segmenter=Watching()).segment([*pictures, pictures[7]], "a")
    gc.collect()
    assert sum(ref() is not None for ref in alive) == 0


def test_parts_that_change_the_frame_or_the_count_are_caught():
    halved = Pipeline(
        prompter=BoxPrompter((1, 1, 3, 3)),
        segmenter=BoxSegmenter(),
        overlays=(lambda image: Image(image.pixels[::2, ::2]),),
    )
    with pytest.raises(FrameError, match="what an overlay drew"):
        halved(GREY, "a")
    losing = Pipeline(
        prompter=BoxPrompter((1, 1, 3, 3)),
        segmenter=BoxSegmenter(),
        prompt_refiners=(lambda image, prompts: prompts[:0],),
    )
    assert "returned 0 prompts for 1" in losing(GREY, "a").text


class Telling:
    """A prompt refiner and a mask refiner in one, which tells what it was asked for."""

    def __init__(self, name, count=None):
        self.name, self.count = name, count

    def __call__(self, *given):
        raise AssertionError("the pipeline asks those that tell for their report")


class TellingPrompts(Telling):
    def report(self, image, prompts, *, pictures=False):
        moved = Prompts(prompts.frame, tuple(prompt.with_points([(2, 2)]) for prompt in prompts))
        told = Refinement(self.name, True, f"{len(prompts)} prompts, pictures {pictures}")
        return moved, (told,) * (len(prompts) if self.count is None else self.count)


class TellingMasks(Telling):
    def report(self, image, mask, prompt, *, pictures=False):
        return mask.inverse(), Refinement(self.name, True, f"{mask.area} px, pictures {pictures}")


def test_what_refiners_tell_is_kept_per_target_in_order():
    pipe = Pipeline(
        prompter=BoxPrompter((1, 1, 3, 3), (5, 5, 10, 10)),
        segmenter=BoxSegmenter(),
        prompt_refiners=(TellingPrompts("a"), lambda image, prompts: prompts, TellingPrompts("b")),
        mask_refiners=(TellingMasks("c"), lambda image, mask, prompt: mask, TellingMasks("d")),
    )
    result = pipe(GREY, "it")
    assert [[step.refiner for step in steps] for steps in result.refinements] == [["a", "b", "c", "d"]] * 2
    assert [steps[2].reason for steps in result.refinements] == ["4 px, pictures False", "25 px, pictures False"]
    assert [mask.area for mask in result.masks] == [4, 25]
    assert result.prompts[0].points == ((2, 2), (2, 2))
    explained = replace(pipe, explain=True)(GREY, "it")
    assert explained.refinements[1][0].reason == "2 prompts, pictures True"
    assert explained.refinements[1][3].reason == "1175 px, pictures True"


def test_silent_refiners_leave_nothing_to_read():
    pipe = Pipeline(segmenter=BoxSegmenter(), mask_refiners=(lambda image, mask, prompt: mask,))
    assert pipe.cut(GREY, Prompts.from_boxes(Frame.pixels(40, 30), [(1, 1, 3, 3)])).refinements == ((),)


def test_refiners_that_lose_count_are_caught():
    pipe = Pipeline(prompter=BoxPrompter((1, 1, 3, 3)), segmenter=BoxSegmenter())
    told = replace(pipe, prompt_refiners=(TellingPrompts("a", count=3),))(GREY, "it")
    assert (told.outcome, told.text) == (Outcome.FAILED, "a prompt refiner reported on 3 prompts, it was given 1")
    assert told.refinements == ()
    lost = replace(pipe, prompt_refiners=(lambda image, prompts: Prompts(prompts.frame),))(GREY, "it")
    assert (lost.outcome, lost.text) == (Outcome.FAILED, "a prompt refiner returned 0 prompts for 1")


# -- streams ------------------------------------------------------------------------------------------


def pictures(folder, count):
    folder.mkdir(exist_ok=True)
    for number in range(count):
        PIL.Image.fromarray(np.full((20, 30 + number, 3), 90, np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("waits", [0, 1, 3])
@pytest.mark.parametrize("batch", [1, 2, 50])
def test_a_stream_gives_every_result_in_order_and_loses_nothing_but_broken_files(tmp_path, waits, batch):
    folder = pictures(tmp_path / "p", 5)
    (folder / "2.png").write_bytes(b"no picture")
    (folder / "5.png").write_bytes(b"")
    prompter = BoxPrompter((1, 1, 9, 9))
    prompter.concurrency, prompter.batch_size = waits, batch
    turns = []
    pipe = Pipeline(prompter=prompter, segmenter=BoxSegmenter())
    for result in pipe.stream(folder, "the ship", on_error=lambda path, error: turns.append((path.name, str(error)))):
        turns.append((result.image.name.rpartition("/")[2], len(result.masks)))
    assert [name for name, _ in turns] == ["0.png", "1.png", "2.png", "3.png", "4.png", "5.png"]
    assert [found for name, found in turns if name not in ("2.png", "5.png")] == [1, 1, 1, 1]
    assert "not a picture" in turns[2][1]
    assert "empty" in turns[5][1]


def test_a_stream_takes_pictures_as_they_come_and_holds_few():
    made = []

    def endless():
        while True:
            made.append(len(made))
            yield np.full((20, 30, 3), len(made) % 256, np.uint8)

    prompter = BoxPrompter((1, 1, 9, 9))
    stream = Pipeline(prompter=prompter, segmenter=BoxSegmenter()).stream(endless(), "the ship")
    assert [len(next(stream).masks) for _ in range(3)] == [1, 1, 1]
    assert len(made) == 3
    prompter.batch_size = 4
    stream = Pipeline(prompter=prompter, segmenter=BoxSegmenter()).stream(endless(), "the ship")
    next(stream)
    assert len(made) == 7


def test_instructions_of_a_stream():
    pipe = Pipeline(prompter=BoxPrompter((1, 1, 9, 9)), segmenter=BoxSegmenter())
    found = pipe.stream([GREY, GREY], iter(["a ship", "a boat"]))
    assert [result.instruction for result in found] == ["a ship", "a boat"]
    with pytest.raises(InputError, match="instruction is empty"):
        pipe.stream([GREY], " ")
    found = pipe.stream([GREY, GREY], ["a ship"])
    with pytest.raises(InputError, match="more than 1 image"):
        list(found)
    with pytest.raises(InputError, match="no prompter"):
        Pipeline(segmenter=BoxSegmenter()).stream([GREY], "the ship")
    assert list(pipe.stream([], "the ship")) == []


def test_a_stream_warns_of_what_it_cannot_read_and_refuses_what_is_too_large(tmp_path):
    folder = pictures(tmp_path / "p", 2)
    pipe = Pipeline(prompter=BoxPrompter((1, 1, 9, 9)), segmenter=BoxSegmenter())
    with pytest.warns(UserWarning, match="more than the limit"):
        assert len(list(pipe.stream(folder, "the ship", max_pixels=600))) == 1


def test_questions_of_a_stream_go_on_while_masks_are_cut():
    asked, cutting = threading.Semaphore(0), threading.Event()

    class Waiting(BoxPrompter):
        concurrency = 2

        def ask(self, images, instructions):
            if self.seen:
                cutting.wait(30)
            found = super().ask(images, instructions)
            asked.release(len(images))
            return found

    class Cutting(BoxSegmenter):
        def encode(self, image):
            cutting.set()
            return super().encode(image)

    shades = [np.full((20, 30, 3), shade, np.uint8) for shade in (10, 20, 30, 40)]
    stream = Pipeline(prompter=Waiting((1, 1, 9, 9)), segmenter=Cutting()).stream(shades, "the ship")
    next(stream)
    for _ in shades:
        assert asked.acquire(timeout=30)
    assert len(list(stream)) == 3
