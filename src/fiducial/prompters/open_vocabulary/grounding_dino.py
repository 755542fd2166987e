"""Grounding DINO as a detector (Liu et al. 2023, arXiv 2303.05499): names in one caption, boxes with scores out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fiducial.errors import InputError
from fiducial.geometry import Frame
from fiducial.images import Image
from fiducial.images.image import pad
from fiducial.prompters.detector.reading import Detection, Reading
from fiducial.prompters.open_vocabulary.base import (
    Loaded,
    best_first,
    checked_fraction,
    load,
    pixel_boxes,
    select,
    unit_of,
)

if TYPE_CHECKING:
    from fiducial.prompters.detector.prompter import DetectorPrompter


BOX_THRESHOLD = 0.25
TEXT_THRESHOLD = 0.25
SUPPRESS = 0.7
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


class GroundingDinoDetector:
    """Finds whatever noun phrases name, with Grounding DINO.

    A name's score is the best of its own tokens' scores; no other name's token counts for it, so labels can neither
    merge nor be cut. Names that do not fit one caption (256 tokens) go into several, at the cost of one run of the
    model each.

    Thresholds work as in the authors' code: a query counts when its best name reaches ``box_threshold``, and then it
    is a detection of every name that reaches ``text_threshold``. The defaults, 0.25 and 0.25, are those of
    transformers' post-processing; the demo of the authors' repository has 0.3 and 0.25.

    Args:
        loaded: a model of type ``grounding-dino`` with what belongs to it.
        box_threshold: least score of a query's best name, in 0..1.
        text_threshold: least score of a name, in 0..1.
        suppress: greatest IoU of two detections of one name, of which the worse goes; None keeps all. The model
            seldom finds a thing twice, so the default only takes what lies nearly on top of each other.
        batch_size: most pictures in one run of the model; default: 1 on a CPU, 4 elsewhere.

    Raises:
        InputError: a threshold outside 0..1, or a batch size below 1.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        box_threshold: float = BOX_THRESHOLD,
        text_threshold: float = TEXT_THRESHOLD,
        suppress: float | None = SUPPRESS,
        batch_size: int | None = None,
    ) -> None:
        self.loaded = loaded
        self.box_threshold = checked_fraction(box_threshold, "box_threshold")
        self.text_threshold = checked_fraction(text_threshold, "text_threshold")
        self.suppress = None if suppress is None else checked_fraction(suppress, "suppress")
        self.batch_size = loaded.batch_size(batch_size)
        self.limit = int(loaded.model.config.max_text_len)
        tokenizer = loaded.tokenizer
        start, between, end, question = tokenizer.convert_tokens_to_ids(
            [tokenizer.cls_token, ".", tokenizer.sep_token, "?"]
        )
        self._marks = Marks(start, between, end)
        self._unknown = tokenizer.unk_token_id
        # The model takes these for the end of a phrase: inside a name they would cut it.
        self._never_in_a_name = {*tokenizer.all_special_ids, between, question} - {self._unknown}

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        box_threshold: float = BOX_THRESHOLD,
        text_threshold: float = TEXT_THRESHOLD,
        suppress: float | None = SUPPRESS,
        batch_size: int | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
    ) -> GroundingDinoDetector:
        """Load a checkpoint, such as ``"IDEA-Research/grounding-dino-tiny"``; only safetensors are read.

        Args:
            model: a local folder, or an id of the hub.
            device: ``"auto"`` (an accelerator if there is one), ``"cpu"``, ``"cuda"``, ...
            dtype: of the costly operations: ``"auto"`` (float32), ``"float32"``, ``"bfloat16"`` or ``"float16"``.
            box_threshold: see the class.
            text_threshold: see the class.
            suppress: see the class.
            batch_size: see the class.
            local_files_only: never ask the network.
            revision: branch, tag or commit on the hub.

        Raises:
            HubError: files are neither here nor to be had.
            InputError: no such device or dtype, or options out of their range.
            UnknownNameError: the checkpoint is no Grounding DINO.
            ModelError: the checkpoint lacks weights, or they do not fit the device's memory.
        """
        loaded = load(
            model, "grounding-dino", device=device, dtype=dtype, local_files_only=local_files_only, revision=revision
        )
        return cls(
            loaded,
            box_threshold=box_threshold,
            text_threshold=text_threshold,
            suppress=suppress,
            batch_size=batch_size,
        )

    def vocabulary(self) -> tuple[str, ...]:
        """Return no names, as any noun may be asked for."""
        return ()

    def read(self, noun: str) -> Reading:
        """Take a noun as it is, in lower case as the model was trained.

        Returns:
            The noun; a name of None when the model's tokenizer knows nothing of it, or when it fits no caption.
        """
        name = " ".join(noun.lower().split())
        known = 1 <= len(self._tokens(name)) <= room_for_name(self.limit)
        return Reading(noun, name, 1.0) if known else Reading(noun, None, 0.0)

    def detect(self, images: Sequence[Image], names: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """Find all instances of each name.

        Args:
            images: any number of pictures of any size. Pictures of one size run together, so that none is padded
                and what is found in one does not depend on the others.
            names: for each picture, names as :meth:`read` gave them; no name finds nothing.

        Returns:
            For each picture the detections, best first.

        Raises:
            InputError: the numbers differ, or a name is not known to the tokenizer or fits no caption.
            ModelError: the model failed, ran out of memory, or returned numbers that are not finite.
        """
        if len(images) != len(names):
            raise InputError(f"{len(images)} images need as many lists of names, got {len(names)}")
        questions = [
            _Question(place, image, caption)
            for place, (image, asked) in enumerate(zip(images, names, strict=True))
            for caption in captions({name: self._tokens(name) for name in asked}, self._marks, self.limit)
        ]
        found: list[list[Detection]] = [[] for _ in images]
        for batch in _batches(questions, self.batch_size):
            for question, detections in zip(batch, self._answer(batch), strict=True):
                found[question.place] += detections
        return [best_first(detections) for detections in found]

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
            yield self._select(question, frame, own_logits, own_boxes)

    def _select(
        self, question: _Question, frame: Frame, logits: NDArray[np.float32], centred: NDArray[np.float32]
    ) -> list[Detection]:
        scores = name_scores(logits, question.caption)
        weak = scores.max(axis=1) < self.box_threshold
        scores[weak] = -1.0  # below every threshold; NaN is never weak, and reported
        return select(
            scores,
            pixel_boxes(centred, frame, question.image),
            question.caption.names,
            threshold=self.text_threshold,
            suppress=self.suppress,
            what=f"{self.loaded.source}, {question.image.name}",
        )


def grounding_dino_prompter(
    model: str | Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
    box_threshold: float = BOX_THRESHOLD,
    text_threshold: float = TEXT_THRESHOLD,
    suppress: float | None = SUPPRESS,
    batch_size: int | None = None,
    local_files_only: bool = False,
    revision: str | None = None,
    **options: Any,
) -> DetectorPrompter:
    """Load Grounding DINO and put it behind the spatial phrases of an instruction.

    Args:
        model: a local folder, or an id of the hub.
        device: as for :meth:`GroundingDinoDetector.from_pretrained`, like all that follow.
        dtype: likewise.
        box_threshold: likewise.
        text_threshold: likewise.
        suppress: likewise.
        batch_size: likewise.
        local_files_only: likewise.
        revision: likewise.
        options: those of :class:`fiducial.prompters.detector.prompter.DetectorPrompter`.

    Raises:
        HubError: files are neither here nor to be had.
        InputError: an option out of its range.
        ModelError: the checkpoint lacks weights, or they do not fit the device's memory.
    """
    from fiducial.prompters.detector.prompter import DetectorPrompter

    detector = GroundingDinoDetector.from_pretrained(
        model,
        device=device,
        dtype=dtype,
        box_threshold=box_threshold,
        text_threshold=text_threshold,
        suppress=suppress,
        batch_size=batch_size,
        local_files_only=local_files_only,
        revision=revision,
    )
    return DetectorPrompter(detector, **options)


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
    """The tokens around names.

    Args:
        start: id of the token that opens a caption, ``[CLS]``.
        between: id of the token after each name, ``.``.
        end: id of the token that closes a caption, ``[SEP]``.
    """

    start: int
    between: int
    end: int


@dataclass(frozen=True, slots=True)
class Span:
    """Where a name stands in a caption.

    Args:
        name: the name.
        start: its first token, counted from 0 with the opening token.
        stop: the token after its last one.
    """

    name: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Caption:
    """One text that a model reads at once.

    Args:
        tokens: ids, with the opening and the closing token.
        spans: the names in it, in order.
    """

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
    """Write names into as few captions as their order allows; no name is ever cut.

    Args:
        tokens: the token ids of each name, without any mark.
        marks: the tokens around names.
        limit: most tokens in a caption, marks included.

    Returns:
        Captions that together hold every name once, in order; none for no names.

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
            found.append(_caption(written, spans, marks))
            written, spans = [], []
        start = 1 + len(written)
        spans.append(Span(name, start, start + len(own)))
        written += [*own, marks.between]
    if spans:
        found.append(_caption(written, spans, marks))
    return found


def name_scores(logits: NDArray[np.floating], caption: Caption) -> NDArray[np.float64]:
    """Score queries for names: the best of a name's own tokens, as the model's authors take it.

    Args:
        logits: (Q, T) of each query for each token, T at least the caption's length; what stands beyond it counts
            for nothing.
        caption: the caption that was read.

    Returns:
        (Q, N) in 0..1, one column for each name of the caption; NaN where a logit was.
    """
    likely = expit(np.asarray(logits, dtype=np.float64))
    columns = [likely[:, span.start : span.stop].max(axis=1) for span in caption.spans]
    return np.stack(columns, axis=1)


def _caption(written: Sequence[int], spans: Sequence[Span], marks: Marks) -> Caption:
    return Caption((marks.start, *written, marks.end), tuple(spans))
