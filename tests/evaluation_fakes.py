"""A small dataset, a prompter that looks for red, and runs of both, for tests of evaluation."""

import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL.Image

from fakes import BoxSegmenter
from fiducial import Answer, Image, Mask, Outcome, Pipeline, Prompts
from fiducial.datasets import Sample
from fiducial.evaluation import Bench
from fiducial.metrics import policy

TESTS = Path(__file__).resolve().parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}
"""In which programs find what tests find."""

HEIGHT, WIDTH = 24, 32
RED = (220, 30, 30)


def picture(number, box=None):
    """A grey picture, different for each number, with a red box."""
    pixels = np.full((HEIGHT, WIDTH, 3), (90, 100, 90), np.uint8)
    pixels[0, 0] = (number % 256, number // 256, 0)
    if box is not None:
        x1, y1, x2, y2 = box
        pixels[y1:y2, x1:x2] = RED
    return Image(pixels, name=f"picture-{number:03}.png")


def place(number):
    """The true box of a sample, or None for a sample without a target."""
    if number % 7 == 3:
        return None
    draw = np.random.default_rng(number)
    x, y = int(draw.integers(1, 16)), int(draw.integers(1, 10))
    return x, y, x + int(draw.integers(4, 14)), y + int(draw.integers(4, 12))


@dataclass
class TinyDataset:
    """Two instructions per picture; every seventh sample has no target, every fifth an ignored strip."""

    count: int = 20
    name: str = "tiny"

    @property
    def ids(self):
        return [f"s{index:03}" for index in range(self.count)]

    def __len__(self):
        return self.count

    def __iter__(self):
        return (self[index] for index in range(self.count))

    def __getitem__(self, index):
        box = place(index)
        shown = picture(index // 2 if box is None else index, box)
        masks = () if box is None else (Mask.from_box(box, HEIGHT, WIDTH),)
        ignore = Mask.from_box((0, HEIGHT - 2, WIDTH, HEIGHT), HEIGHT, WIDTH) if index % 5 == 0 else None
        return Sample(f"s{index:03}", None, shown, f"the red thing {index % 2}", masks, (HEIGHT, WIDTH), ignore=ignore)


class Boxes(TinyDataset):
    """The same samples without masks."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return replace(sample, instances=None, boxes=sample.prompts(), ignore=None)


class RedPrompter:
    """Finds red, up to an error that depends on the picture; some answers are of no use, as a model's are."""

    def __init__(self, pause=0.0):
        self.pause, self.asked = pause, []

    def ask(self, images, instructions):
        self.asked += [image.name for image in images]
        time.sleep(self.pause)
        return [self._answer(image) for image in images]

    def _answer(self, image):
        number = int(image.digest[:6], 16)
        rows, columns = np.nonzero(image.pixels[..., 0] == RED[0])
        nothing = Prompts(image.frame)
        if number % 10 == 0:
            return Answer(Outcome.MALFORMED, nothing, raw="I <b>cannot</b> | say")
        if number % 9 == 1:
            return Answer(Outcome.FAILED, nothing, text="out of memory")
        if not len(rows):
            return Answer(Outcome.NO_TARGET, nothing, text="nothing is red")
        box = columns.min(), rows.min() + number % 3, columns.max() + 1 + number % 2, rows.max() + 2
        return Answer(
            Outcome.FOUND, Prompts.from_boxes(image.frame, [box]), raw=f"[{box}] é \u2028 <script>alert(1)</script>"
        )


def bench(count=20, *, rules="fiducial", prompter=None, **changes):
    pipeline = Pipeline(prompter=prompter or RedPrompter(), segmenter=BoxSegmenter(), name="red")
    return replace(Bench(pipeline, TinyDataset(count), policy(rules)), **changes)


def write_folder(root: Path, count=6):
    """Write a dataset in the plain folder layout; returns the word that opens it."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    lines = []
    for number in range(count):
        box = place(number)
        image = picture(number, box)
        PIL.Image.fromarray(image.pixels).save(root / "images" / image.name)
        dense = np.zeros((HEIGHT, WIDTH), bool) if box is None else Mask.from_box(box, HEIGHT, WIDTH).to_dense()
        PIL.Image.fromarray(dense).save(root / "masks" / image.name)
        lines.append(json.dumps({"image": image.name, "instruction": "the red square"}))
    (root / "instructions.jsonl").write_text("\n".join(lines) + "\n")
    return f"folder:{root}"


def numbers(summary):
    """What must not depend on how a run was cut up."""
    return {key: value for key, value in summary.as_json().items() if key != "seconds"}


def die(job, index):
    """End this process as if the system had."""
    os._exit(3)


def wait_as_a_worker():
    """Do as a worker does whose parent may be killed."""
    from fiducial.workers import watch_parent

    watch_parent()
    print(os.getpid(), flush=True)
    time.sleep(60)
