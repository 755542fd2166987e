"""Grounding DINO as a detector (Liu et al. 2023, arXiv 2303.05499): names in one caption, boxes with scores out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError
from fiducial.geometry import Frame
from fiducial.images import Image
from fiducial.images.image import pad
from fiducial.prompters.detector.reading import Detection
from fiducial.prompters.model_configs import GroundingDinoConfig
from fiducial.prompters.open_vocabulary.base import Loaded, OpenVocabularyDetector, pixel_boxes, select, unit_of

MAX_ASPECT = 16
"""Greatest ratio of a picture's edges that is shown as it is.

The model picks its queries (900 in the published ones) among the positions of its feature maps and fails when there
are fewer. A canvas of 1333 pixels along the longer edge has 900 positions up to a ratio of about 40.
"""


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """One image with one caption."""

    place: int
    image: Image
    caption: Caption


class GroundingDinoDetector(OpenVocabularyDetector[GroundingDinoConfig]):
    """Finds whatever noun phrases name, with Grounding DINO.

    A name's score is the best of its own tokens' scores; no other name's token counts for it, so labels can neither
    merge nor be cut. Names that do not fit one caption (256 tokens) go into several, at the cost of one run of the
    model each.

    Thresholds work as in the authors' code: a query counts when its best name reaches ``box_threshold``, and then it
    is a detection of every name that reaches ``text_threshold``. Pictures of one size run together, so that none is
    padded and what is found in one does not depend on others.
    """

    model_type, described = "grounding-dino", GroundingDinoConfig

    def __init__(self, loaded: Loaded, config: GroundingDinoConfig) -> None:
        super().__init__(loaded, config)
        self.limit = int(loaded.model.config.max_text_len)
        tokenizer = loaded.tokenizer
        start, between, end, question = tokenizer.convert_tokens_to_ids(
            [tokenizer.cls_token, ".", tokenizer.sep_token, "?"]
        )
        self._marks = Marks(start, between, end)
        self._unknown = tokenizer.unk_token_id
        # The model takes these for the end of a phrase: inside a name they would cut it.
        self._never_in_a_name = {*tokenizer.all_special_ids, between, question} - {self._unknown}

    def _can_read(self, name: str) -> bool:
        return 1 <= len(self._tokens(name)) <= room_for_name(self.limit)

    def _detect(self, images: Sequence[Image], names: Sequence[Sequence[str]]) -> list[list[Detection]]:
        questions = [
            _Question(place, image, caption)
            for place, (image, asked) in enumerate(zip(images, names, strict=True))
            for caption in captions({name: self._tokens(name) for name in asked}, self._marks, self.limit)
        ]
        found: list[list[Detection]] = [[] for _ in images]
        for batch in _batches(questions, self.batch_size):
            for question, detections in zip(batch, self._answer(batch), strict=True):
                found[question.place] += detections
        return found

    def _tokens(self, name: str) -> list[int]:
        """Return a name's tokens without marks; none when the tokenizer knows not a single one of them."""
        ids = self.loaded.tokenizer(name, add_special_tokens=False)["input_ids"]
        tokens = [token for token in ids if token not in self._never_in_a_name]
        return tokens if set(tokens) - {self._unknown} else []

    def _answer(self, batch: Sequence[_Question]) -> Iterator[list[Detection]]:
        """Run the model once for questions about pictures of one size."""
        what = " and ".join(dict.fromkeys(question.image.name for question in batch))
        shown = [_laid_out(question.image) for question in batch]
        device = self.loaded.device
        pictures = self.loaded.images(
            [pixels for pixels, _ in shown], input_data_format="channels_last", return_tensors="pt"
        )
        ids, mask = self.loaded.padded([question.caption.tokens for question in batch])
        with self.loaded.running(what):
            outputs = self.loaded.model(
                pixel_values=pictures["pixel_values"].to(device),
                pixel_mask=pictures["pixel_mask"].to(device),
                input_ids=ids,
                attention_mask=mask,
            )
            logits = outputs.logits.float().cpu().numpy()
            centred = outputs.pred_boxes.float().cpu().numpy()
        for question, (_, frame), own_logits, own_boxes in zip(batch, shown, logits, centred, strict=True):
            scores = name_scores(own_logits, question.caption)
            weak = scores.max(axis=1) < self.config.box_threshold
            scores[weak] = -1.0  # below every threshold; NaN is never weak, and reported
            yield select(
                scores,
                pixel_boxes(own_boxes, frame, question.image),
                question.caption.names,
                threshold=self.config.text_threshold,
                suppress=self.config.suppress,
                what=f"{self.loaded.source}, {question.image.name}",
            )


def _batches(questions: Sequence[_Question], size: int) -> Iterator[list[_Question]]:
    """Put questions about pictures of one size together."""

    def shape(question: _Question) -> tuple[int, int]:
        return question.image.height, question.image.width

    for _, alike in groupby(sorted(questions, key=shape), key=shape):
        rows = list(alike)
        for start in range(0, len(rows), size):
            yield rows[start : start + size]


def _laid_out(image: Image) -> tuple[NDArray[np.uint8], Frame]:
    """Return what is shown of an image, and the frame of the model's boxes.

    A picture that is too elongated gets a margin at the right or bottom, in the mean colour of natural pictures.
    """
    width, height = max(image.width, -(-image.height // MAX_ASPECT)), max(image.height, -(-image.width // MAX_ASPECT))
    if (width, height) == (image.width, image.height):
        return image.pixels, Frame.unit()
    return pad(image.pixels, width, height, (0, 0), (124, 116, 104)), unit_of(image, width, height)


# -- captions of many names ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Marks:
    """Ids of the tokens around names."""

    start: int  # opens a caption, [CLS]
    between: int  # stands after each name, a full stop
    end: int  # closes a caption, [SEP]


@dataclass(frozen=True, slots=True)
class Span:
    """Where a name stands in a caption: its first token and the one after its last, the opening token being 0."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Caption:
    """One text that a model reads at once: ids with the opening and the closing token, and the names in order."""

    tokens: tuple[int, ...]
    spans: tuple[Span, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names in it, in order."""
        return tuple(span.name for span in self.spans)


def room_for_name(limit: int) -> int:
    """Say how many tokens a name may have in a caption of ``limit`` tokens: it needs three more around it."""
    return limit - 3


def captions(tokens: Mapping[str, Sequence[int]], marks: Marks, limit: int) -> list[Caption]:
    """Write names, each with its token ids, into as few captions of ``limit`` tokens as their order allows.

    Raises:
        InputError: a name without tokens, or one that fits no caption.
    """
    found: list[Caption] = []
    written: list[int] = []
    spans: list[Span] = []
    for name, own in tokens.items():
        if not 1 <= len(own) <= room_for_name(limit):
            raise InputError(
                f"the name {name!r} has {len(own)} tokens that the model knows, and a name needs 1 to "
                f"{room_for_name(limit)} of them"
            )
        if spans and 1 + len(written) + len(own) + 2 > limit:
            found.append(Caption((marks.start, *written, marks.end), tuple(spans)))
            written, spans = [], []
        start = 1 + len(written)
        spans.append(Span(name, start, start + len(own)))
        written += [*own, marks.between]
    if spans:
        found.append(Caption((marks.start, *written, marks.end), tuple(spans)))
    return found


def name_scores(logits: NDArray[np.floating], caption: Caption) -> NDArray[np.float64]:
    """Score queries for names: the best of a name's own tokens, as the model's authors take it.

    Args:
        logits: (Q, T) of each query for each token; what stands beyond the caption counts for nothing.
        caption: the caption that was read.

    Returns:
        (Q, N) in 0..1, one column for each name of the caption; NaN where a logit was.
    """
    likely = (1 + np.tanh(np.asarray(logits, dtype=np.float64) / 2)) / 2
    columns = [likely[:, span.start : span.stop].max(axis=1) for span in caption.spans]
    return np.stack(columns, axis=1)
