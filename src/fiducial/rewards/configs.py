"""The presets: which parts a reward has, with which weights; building one loads the segmenter that it needs.

A field that is called as a part (see ``fiducial.rewards.scoring.PARTS``) is that part's weight. Parts are in 0..1, so
that the weights are also the most that each part can contribute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from fiducial import config as _config
from fiducial.config import Config, option
from fiducial.errors import InputError
from fiducial.geometry import Frame, Prompt, Prompts
from fiducial.language.dialects import Dialect
from fiducial.language.dialects import dialect as find_dialect
from fiducial.segmenters.configs import CacheConfig
from fiducial.segmenters.remembering import MEMORY_BYTES
from fiducial.service_configs import PlaceConfig

if TYPE_CHECKING:
    from fiducial.rewards.client import RemoteMaskService
    from fiducial.rewards.scoring import Scorer
    from fiducial.rewards.service import MaskSource


def _example(form: Dialect) -> str:
    """Write an answer as a dialect does, with thinking where it has any."""
    frame = Frame.pixels(100, 100)
    one = Prompt(frame, box=(10.0, 20.0, 50.0, 60.0), points=((30.0, 40.0), (32.0, 42.0)), point_labels=(1, 1))
    return form.encode(Prompts(frame, (one,)), form.frame(100, 100, (100, 100)), thinking="One thing.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardConfig(Config):
    """What every reward has."""

    kind: ClassVar[str] = "reward"
    name: ClassVar[str]
    true_points: ClassVar[int] = 1
    """How many points per true target the answer's points are compared with."""
    repeated_boxes: ClassVar[bool] = False
    """Whether ``non_repeat`` looks at boxes too."""

    dialect: str = option(help="the form in which the model writes coordinates")
    canvas: tuple[int, int] | None = option(
        None,
        "width and height at which the model is shown the image; none: the dialect's own",
        unit="pixels",
        minimum=1,
    )
    reading: Literal["strict", "tolerant"] = option(
        "strict", "whether a reply that breaks the form is worth nothing, or is read as far as it goes"
    )
    suppress_above: float | None = option(
        None, "leave out boxes that overlap a larger one by more IoU than this; none: keep all", minimum=0, maximum=1
    )

    def check(self) -> None:
        """Refuse a dialect that does not exist, or in which no answer can earn a part."""
        from fiducial.rewards import functions

        written = _example(find_dialect(self.dialect))
        forms = {"think_format": functions.think_format, "item_format": functions.item_format}
        lost = [name for name, earned in forms.items() if getattr(self, name, 0.0) and not earned(written)]
        if lost:
            raise InputError(
                f"the reward {self.name!r}: no answer in the dialect {self.dialect!r} can earn {' or '.join(lost)}: "
                f"set {', '.join(f'{name}=0' for name in lost)}, or take another dialect"
            )

    def build(self) -> Scorer:
        """Make what scores completions."""
        from fiducial.rewards.scoring import Scorer

        return Scorer(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig(PlaceConfig):
    """A reward service that somebody started with ``fiducial serve reward``; its URL alone means the same."""

    called: ClassVar[str] = "the reward service"
    command: ClassVar[str] = "fiducial serve reward"

    concurrency: int = option(8, "most groups of completions that are asked for at once", minimum=1)

    def build(self) -> RemoteMaskService:
        """Make what asks the service; nothing is sent yet."""
        from fiducial.rewards.client import RemoteMaskService

        return RemoteMaskService(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRewardConfig(RewardConfig):
    """A reward that cuts masks with a frozen segmenter, here or behind a service."""

    segmenter: Annotated[Config, "segmenter"] = option("sam2", "frozen; cuts the prompts of all completions")
    memory_bytes: int = option(MEMORY_BYTES, "bound of the embeddings in memory", unit="bytes", minimum=0)
    cache: CacheConfig | None = option(None, "keep embeddings on disk too, over epochs and runs")
    service: ServiceConfig | None = option(None, "cuts in place of the segmenter, memory_bytes and cache above")

    def check(self) -> None:
        """Refuse a cache here for masks that are cut elsewhere."""
        RewardConfig.check(self)  # super() would look for the class without slots
        if self.service is not None and self.cache is not None:
            raise InputError(
                "the masks are cut by a service, so the cache is its own: fiducial serve reward --cache DIR"
            )

    def build(self) -> Scorer:
        """Load the segmenter, or find the service, and make what scores completions."""
        from fiducial.rewards.scoring import Scorer
        from fiducial.rewards.service import MaskService

        source: MaskSource
        if self.service is not None:
            source = self.service.build()
        else:
            segmenter = _config.build(self.segmenter)
            source = MaskService(self.cache.wrap(segmenter) if self.cache else segmenter, self.memory_bytes)
        return Scorer(self, source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Think2SegConfig(MaskRewardConfig):
    """Think2Seg-RS: 2 x IoU of the united masks, the exact form, the think and answer tags; 0..4.

    Duplicates are suppressed as published. Differences: a reply that breaks the form is worth nothing as published, but
    the form is held more strictly (see :func:`fiducial.rewards.functions.strict_format`); masks are compared at the
    image's own size, not at 840 x 840; boxes past the canvas are clipped before they are cut.
    """

    name: ClassVar[str] = "think2seg"

    dialect: str = option("think2seg", "the form in which the model writes coordinates")
    suppress_above: float | None = option(
        0.5, "leave out boxes that overlap a larger one by more IoU than this; none: keep all", minimum=0, maximum=1
    )
    mask_iou: float = option(2.0, "weight of the IoU; where nothing is meant, of an empty list", minimum=0)
    strict_format: float = option(1.0, "weight of the exact form", minimum=0)
    think_format: float = option(1.0, "weight of <think>..</think><answer>..</answer>", minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskOnlyConfig(MaskRewardConfig):
    """IoU of the united masks with a small term for the exact form; replies are read as far as they go; 0..1.1."""

    name: ClassVar[str] = "mask-only"
    repeated_boxes: ClassVar[bool] = True

    dialect: str = option("qwen2.5-vl", "the form in which the model writes coordinates")
    reading: Literal["strict", "tolerant"] = option(
        "tolerant", "whether a reply that breaks the form is worth nothing, or is read as far as it goes"
    )
    mask_iou: float = option(1.0, "weight of the IoU; where nothing is meant, of saying so", minimum=0)
    strict_format: float = option(0.1, "weight of the exact form", minimum=0)
    no_target: float = option(0.0, "weight of being right about there being a target", minimum=0)
    non_repeat: float = option(0.0, "weight of not repeating sentences or boxes", minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionReasonerConfig(RewardConfig):
    """VisionReasoner: tags, form of each item, boxes and points matched with the truth, no repetition; 0..7.

    Not published where we could read it, and so ours: what earns an item its 0 to 2, the cost of the matching, how
    sentences are told apart, and that nothing said where nothing is meant gets full accuracy.
    """

    name: ClassVar[str] = "visionreasoner"

    dialect: str = option("visionreasoner", "the form in which the model writes coordinates")
    reading: Literal["strict", "tolerant"] = option(
        "tolerant", "whether a reply that breaks the form is worth nothing, or is read as far as it goes"
    )
    think_format: float = option(1.0, "weight of <think>..</think><answer>..</answer>", minimum=0)
    item_format: float = option(2.0, "weight of the form of the items, on average", minimum=0)
    box_iou: float = option(1.0, "weight of matched boxes with IoU above min_iou", minimum=0)
    box_distance: float = option(1.0, "weight of matched boxes nearer than max_box_distance", minimum=0)
    point_distance: float = option(1.0, "weight of points nearer than max_point_distance, in their box", minimum=0)
    non_repeat: float = option(1.0, "weight of not repeating sentences", minimum=0)
    min_iou: float = option(0.5, "IoU that a box has to exceed", minimum=0, maximum=1)
    max_box_distance: float = option(10.0, "mean difference of a box's numbers", unit="pixels of the canvas", above=0)
    max_point_distance: float = option(30.0, "distance of a point", unit="pixels of the canvas", above=0)
    pixel_inclusive: bool = option(True, "take the far corner of a box for the number of its last pixel in IoU")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegZeroConfig(RewardConfig):
    """Seg-Zero: tags, exact form, one box and its two points against the truth, each right or wrong; 0..5.

    Published for one target; several are matched as VisionReasoner's are. Its form check was not published in detail
    where we could read it: ours is the dialect's strict reader, and its boxes are compared without added pixels.
    """

    name: ClassVar[str] = "seg-zero"
    true_points: ClassVar[int] = 2

    dialect: str = option("seg-zero", "the form in which the model writes coordinates")
    think_format: float = option(1.0, "weight of <think>..</think><answer>..</answer>", minimum=0)
    strict_format: float = option(1.0, "weight of the exact form", minimum=0)
    box_iou: float = option(1.0, "weight of a box with IoU above min_iou", minimum=0)
    box_distance: float = option(1.0, "weight of a box nearer than max_box_distance", minimum=0)
    point_distance: float = option(1.0, "weight of both points, in their box and near enough", minimum=0)
    min_iou: float = option(0.5, "IoU that a box has to exceed", minimum=0, maximum=1)
    max_box_distance: float = option(10.0, "mean difference of a box's numbers", unit="pixels of the canvas", above=0)
    max_point_distance: float = option(
        100.0, "mean distance of the two points, paired at their best", unit="pixels of the canvas", above=0
    )
