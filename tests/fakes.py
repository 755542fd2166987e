"""Parts that do something simple and known, for tests of what stands around them."""

import numpy as np

from fiducial.contracts import Embedding
from fiducial.geometry import Mask, Prompt, Prompts
from fiducial.language import Answer, Outcome


class BoxPrompter:
    """Answers with the boxes that it was made with, and remembers what it was shown."""

    def __init__(self, *boxes, outcome=Outcome.FOUND, error=None):
        self.boxes, self.outcome, self.error = boxes, outcome, error
        self.seen = []

    def ask(self, images, instructions):
        self.seen += list(zip(images, instructions, strict=True))
        if self.error:
            raise self.error
        return [Answer(self.outcome, Prompts.from_boxes(image.frame, self.boxes), text="as told") for image in images]


class BoxSegmenter:
    """Cuts the box itself, or a 3 x 3 square around the first point; counts its work."""

    def __init__(self, error=None):
        self.encoded, self.error = [], error

    def encode(self, image):
        if self.error:
            raise self.error
        self.encoded.append(image)
        return Embedding(image.digest, image.width, image.height, {"features": np.zeros(4)})

    def decode(self, embedding, prompts):
        return [Mask.from_box(_box(prompt), embedding.height, embedding.width).with_score(0.5) for prompt in prompts]


def _box(prompt: Prompt):
    if prompt.box is not None:
        return prompt.box
    x, y = prompt.points[0]
    return x - 1.5, y - 1.5, x + 1.5, y + 1.5
