"""Scoring a group of completions of one image: replies are read, cut together, and each gets its weighted parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from fiducial.errors import InputError, ModelError
from fiducial.geometry import Frame, Mask, Prompts
from fiducial.images import Image
from fiducial.language import Answer, Outcome
from fiducial.language.dialects import Dialect, dialect
from fiducial.rewards import functions

if TYPE_CHECKING:
    from fiducial.rewards.configs import RewardConfig
    from fiducial.rewards.service import Cut, MaskSource


@dataclass(frozen=True, slots=True, eq=False)
class Reward:
    """What one completion earned.

    Args:
        total: the sum of the parts.
        parts: what each part contributes, its weight included, by name.
        outcome: how reading the reply ended; ``failed`` where the segmenter failed, and then every part is 0.
        masks: one per target that counts, in the image's own size; none where the preset cuts no masks.
        text: in plain words why there is nothing, or what the model said around the coordinates.
        prompts: what was read, in pixels of the image and clipped to it; one per mask where masks are cut.
    """

    total: float
    parts: Mapping[str, float]
    outcome: Outcome
    masks: tuple[Mask, ...] = ()
    text: str = ""
    prompts: Prompts | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", MappingProxyType(dict(self.parts)))


@dataclass(frozen=True, slots=True)
class Shown:
    """How a model saw an image, in the numbers that it writes.

    Args:
        picture: the dialect's frame of the whole picture that the model was given, padding and all.
        image: the frame of the image itself in the same numbers; equal to ``picture`` where nothing was padded.

    Example:
        >>> from fiducial.geometry import Frame
        >>> Shown.of(Frame(-10, 0, 30, 40), Frame.unit(), (20, 40)).image  # 20 x 40 pixels in a square of 40
        Frame(left=0.25, top=0.0, right=0.75, bottom=1.0)
    """

    picture: Frame
    image: Frame

    @classmethod
    def of(cls, extent: Frame, frame: Frame, size: tuple[int, int]) -> Shown:
        """Describe an image of (width, height) pixels in a picture.

        Args:
            extent: where the picture's corners lie in pixels of the image.
            frame: the dialect's frame of the picture.
            size: width and height of the image.
        """
        (left, top), (right, bottom) = extent.points_to([(0, 0), size], frame).tolist()
        return cls(frame, Frame(left, top, right, bottom))


@dataclass(frozen=True)
class _Case:
    """One completion, read: what the parts look at. ``frame`` is the picture's; prompts are in the image's."""

    config: RewardConfig
    dialect: Dialect
    frame: Frame
    reply: str
    answer: Answer
    truth: tuple[Mask, ...]
    true_prompts: Callable[[], Prompts]
    masks: tuple[Mask, ...] = field(default=())

    @property
    def unread(self) -> bool:
        """Whether there is nothing to score: no prompt, and no plain word that there is no target."""
        return not len(self.answer.prompts) and self.answer.outcome is not Outcome.NO_TARGET

    @property
    def predicted(self) -> tuple[Mask, ...] | None:
        """The masks, none where the reply says that there is no target, or None where there is nothing to score."""
        return self.masks if self.masks or self.answer.outcome is Outcome.NO_TARGET else None

    @cached_property
    def accuracy(self) -> Mapping[str, float]:
        """Boxes and points against the truth, under one matching."""
        config = self.config
        return functions.matched_accuracy(
            None if self.unread else self.answer.prompts,
            self.true_prompts(),
            min_iou=getattr(config, "min_iou", 0.5),
            max_box_distance=getattr(config, "max_box_distance", 10.0),
            max_point_distance=getattr(config, "max_point_distance", 30.0),
            pixel_inclusive=getattr(config, "pixel_inclusive", False),
        )


PARTS: Mapping[str, Callable[[_Case], float]] = MappingProxyType(
    {
        "mask_iou": lambda case: functions.mask_iou(case.predicted, case.truth),
        "strict_format": lambda case: functions.strict_format(case.reply, case.dialect, case.frame),
        "think_format": lambda case: functions.think_format(case.reply),
        "item_format": lambda case: functions.item_format(case.reply),
        "no_target": lambda case: functions.no_target(case.answer, case.truth),
        "box_iou": lambda case: case.accuracy["box_iou"],
        "box_distance": lambda case: case.accuracy["box_distance"],
        "point_distance": lambda case: case.accuracy["point_distance"],
        "non_repeat": lambda case: functions.non_repeat(
            case.reply, case.answer.prompts if case.config.repeated_boxes else None
        ),
    }
)
"""What a preset can be made of, each 0..1: a field of that name is its weight."""


class Scorer:
    """Scores completions as a preset says.

    Args:
        config: the preset.
        service: cuts masks, a MaskService or a RemoteMaskService; needed where the preset gives ``mask_iou`` a weight.

    Raises:
        InputError: no part has a weight, or masks are needed and there is no service.
    """

    def __init__(self, config: RewardConfig, service: MaskSource | None = None) -> None:
        self.config = config
        self.service = service
        self.weights = {name: float(getattr(config, name)) for name in PARTS if getattr(config, name, 0.0)}
        if not self.weights:
            raise InputError(f"the reward {config.name!r} has no part with a weight: set one of {', '.join(PARTS)}")
        if "mask_iou" in self.weights and service is None:
            raise InputError(f"the reward {config.name!r} compares masks: give it a MaskService")
        self._dialect = dialect(config.dialect)

    @property
    def best(self) -> float:
        """The largest total that a completion can earn; the smallest is 0."""
        return sum(self.weights.values())

    @property
    def concurrency(self) -> int:
        """How many threads that score at once gain something."""
        return 1 if self.service is None else self.service.concurrency

    def score(
        self, image: Image, truth: Sequence[Mask], replies: Sequence[str], shown: Shown | None = None
    ) -> list[Reward]:
        """Score completions of one image and instruction.

        Args:
            image: what the model was shown, at its own size.
            truth: one mask per true target, of the image's size; none, or none with a pixel: there is no target.
            replies: each a whole completion, as the model wrote it.
            shown: how the model saw the image; None: whole, without padding, at the canvas of the preset or dialect.

        Returns:
            One reward per reply, in order, each in 0..``best`` and independent of the other replies. A reply that
            cannot be read, and a segmenter that fails, are outcomes.

        Raises:
            InputError: a true mask of another size, or an image that the dialect's model cannot be shown.
        """
        for mask in truth:
            if (mask.height, mask.width) != (image.height, image.width):
                raise InputError(
                    f"{image.name}: a true mask is {mask.height} x {mask.width} (height x width), "
                    f"the image is {image.height} x {image.width}"
                )
        if shown is None:
            frame = self._dialect.frame(image.width, image.height, self.config.canvas)
            shown = Shown(frame, frame)
        frame = shown.image
        targets = tuple(truth)
        known: list[Prompts] = []

        def true_prompts() -> Prompts:  # costs a distance transform per target, and not every preset looks at it
            if not known:
                known.append(functions.true_prompts(targets, frame, self.config.true_points))
            return known[0]

        cases = [
            _Case(self.config, self._dialect, shown.picture, reply, self._read(reply, shown), targets, true_prompts)
            for reply in replies
        ]
        cuts: list[Cut] = [()] * len(cases)
        fitted = [case.answer.prompts.to(image.frame).fitted()[0] for case in cases]
        if self.service is not None and "mask_iou" in self.weights:
            cuts = self.service.cut(image, fitted)
        return [self._reward(*given) for given in zip(cases, fitted, cuts, strict=True)]

    def _read(self, reply: str, shown: Shown) -> Answer:
        answer = self._dialect.decode(reply, shown.picture, strict=self.config.reading == "strict")
        limit = self.config.suppress_above
        if limit is not None:
            answer = replace(answer, prompts=functions.suppress_duplicates(answer.prompts, limit))
        return answer if shown.image == shown.picture else _without_padding(answer, shown.image)

    def _reward(self, case: _Case, prompts: Prompts, cut: Cut) -> Reward:
        if isinstance(cut, ModelError):
            return Reward(0.0, dict.fromkeys(self.weights, 0.0), Outcome.FAILED, text=str(cut), prompts=prompts)
        case = replace(case, masks=cut)
        parts = {name: weight * PARTS[name](case) for name, weight in self.weights.items()}
        return Reward(sum(parts.values()), parts, case.answer.outcome, cut, case.answer.text, prompts)


def _without_padding(answer: Answer, frame: Frame) -> Answer:
    """Clip an answer about a padded picture to the image, whose frame has the same numbers and other corners."""
    kept = Prompts(frame, tuple(replace(one, frame=frame) for one in answer.prompts)).fitted()[0]
    if answer.outcome is Outcome.FOUND and not len(kept):
        return replace(answer, outcome=Outcome.MALFORMED, prompts=kept, text="every target lies in the padding")
    return replace(answer, prompts=kept)
