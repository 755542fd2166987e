"""A reward as TRL's GRPOTrainer takes one, ``(prompts, completions, **columns) -> list[float]``, without trl."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import PIL.Image

from fiducial.config import build, read_part
from fiducial.errors import InputError
from fiducial.files import parse_json
from fiducial.geometry import Mask
from fiducial.images import Image
from fiducial.pipeline import as_image
from fiducial.rewards.configs import RewardConfig
from fiducial.rewards.scoring import Reward

if TYPE_CHECKING:
    from fiducial.rewards.scoring import Scorer, Shown


class RewardFunction:
    """Scores whole batches of completions; it can be pickled, and then builds its segmenter anew where it is used.

    ``counts`` says how many completions ended with which outcome since it was made, ``last`` what each of the last
    batch earned. Completions of one image and truth are scored together.

    Args:
        reward: a preset, or its short form such as ``"think2seg?mask_iou=3"``.
        image_column: the column with the image: a file, an array, a Pillow image or an Image, or a list of one.
        truth_column: the column with the true targets, as :func:`truth_column` writes them.
        shown_column: the column with how the model saw the image (:class:`fiducial.rewards.scoring.Shown`), where the
            data has one; needed where a picture is padded, or its canvas follows its size.

    Example:
        >>> function = RewardFunction("seg-zero?strict_format=0")
        >>> picture = np.zeros((84, 84, 3), dtype=np.uint8)
        >>> ship = Mask.from_box((10, 10, 40, 40), 84, 84)
        >>> text = '<think>a ship</think><answer>{"bbox": [100, 100, 400, 400], "points_1": [250, 250], '
        >>> text += '"points_2": [370, 370]}</answer>'
        >>> function(["the ship"] * 2, [text, "no idea"], image=[picture] * 2, truth=[truth_column([ship])] * 2)
        [4.0, 0.0]
        >>> {outcome.value: count for outcome, count in function.counts.items()}
        {'found': 1, 'malformed': 1}
    """

    def __init__(
        self,
        reward: RewardConfig | str,
        *,
        image_column: str = "image",
        truth_column: str = "truth",
        shown_column: str = "shown",
    ) -> None:
        self.config = cast(RewardConfig, read_part("reward", reward))
        self.image_column = image_column
        self.truth_column = truth_column
        self.shown_column = shown_column
        self.__name__ = f"fiducial_{self.config.name}"  # TRL logs a reward by it
        self.counts: Counter[str] = Counter()
        self.last: list[Reward] = []
        self._scorer: Scorer | None = None

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
        """Return the total of each completion, in order.

        Args:
            prompts: what was asked; not looked at.
            completions: texts, or conversations whose last message is the reply.
            columns: the data's other columns, a value for each completion.

        Raises:
            InputError: a column is missing or holds something else, or a completion has no text.
        """
        images = self._column(columns, self.image_column, len(completions))
        truths = self._column(columns, self.truth_column, len(completions))
        views: Sequence[Shown | None] = [None] * len(completions)
        if self.shown_column in columns:
            views = self._column(columns, self.shown_column, len(completions))
        replies = [_text(completion) for completion in completions]
        # A trainer repeats the very value for each completion of a group: it is read once.
        pictures = {id(value): _picture(value, self.image_column) for value in {id(v): v for v in images}.values()}
        groups: dict[tuple[str, tuple[Mask, ...], Shown | None], list[int]] = {}
        for index, (image, truth, shown) in enumerate(zip(images, truths, views, strict=True)):
            picture = pictures[id(image)]
            key = picture.digest, _masks(truth, picture, self.truth_column), shown
            groups.setdefault(key, []).append(index)
        found: dict[int, Reward] = {}
        scored = self._score(
            [
                (pictures[id(images[indices[0]])], masks, [replies[index] for index in indices], shown)
                for (_, masks, shown), indices in groups.items()
            ]
        )
        for indices, rewards in zip(groups.values(), scored, strict=True):
            found.update(zip(indices, rewards, strict=True))
        self.last = [found[index] for index in range(len(replies))]
        self.counts.update(reward.outcome for reward in self.last)
        return [reward.total for reward in self.last]

    @property
    def scorer(self) -> Scorer:
        """What scores one group; built when it is first asked for."""
        if self._scorer is None:
            self._scorer = build(self.config)
        return self._scorer

    def _score(self, groups: Sequence[tuple[Image, tuple[Mask, ...], list[str], Shown | None]]) -> list[list[Reward]]:
        """Score groups; a service elsewhere gets the next one while this process still compares the last."""
        at_once = min(self.scorer.concurrency, len(groups))
        if at_once < 2:
            return [self.scorer.score(*group) for group in groups]
        pool = ThreadPoolExecutor(at_once)
        try:
            return list(pool.map(lambda group: self.scorer.score(*group), groups))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupt need not wait for a service that is gone

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_scorer": None, "last": []}

    def _column(self, columns: Mapping[str, Any], name: str, count: int) -> Sequence[Any]:
        if name not in columns:
            raise InputError(
                f"the reward {self.config.name!r} needs the column {name!r}, the data has "
                f"{', '.join(sorted(columns)) or 'none'}: rename one, or say which with image_column and truth_column"
            )
        values = list(columns[name])
        if len(values) != count:
            raise InputError(f"column {name!r}: {count} completions need as many values, got {len(values)}")
        return values


def truth_column(masks: Sequence[Mask]) -> list[dict[str, Any]]:
    """Write true targets as a column holds them: one compressed run-length code (COCO) each; ``[]`` is no target."""
    return [mask.to_coco() for mask in masks]


def _masks(value: Any, picture: Image, column: str) -> tuple[Mask, ...]:
    given = parse_json(value, f"column {column!r}") if isinstance(value, str) else value
    if isinstance(given, (Mask, Mapping)):
        given = [given]
    if not isinstance(given, (list, tuple)):
        raise InputError(f"column {column!r}: needs a list of masks or of run-length codes, got {given!r:.80}")
    size = picture.height, picture.width
    return tuple(one if isinstance(one, Mask) else Mask.from_coco(one, *size) for one in given)


def _picture(value: Any, column: str) -> Image:
    if isinstance(value, (list, tuple)):
        if len(value) != 1:
            raise InputError(f"column {column!r}: needs one image for each completion, got {len(value)}")
        value = value[0]
    if isinstance(value, PIL.Image.Image):
        plain = value.mode in ("L", "RGB", "RGBA", "I;16")
        return Image.from_array(np.asarray(value if plain else value.convert("RGBA")))
    return as_image(value)


def _text(completion: Any) -> str:
    """Return the reply of a completion: a text, or the last message of a conversation, perhaps in pieces."""
    content = completion
    if isinstance(content, (list, tuple)) and content and isinstance(content[-1], Mapping) and "role" in content[-1]:
        content = content[-1].get("content")
    if isinstance(content, (list, tuple)):
        content = "".join(str(piece.get("text") or "") for piece in content if isinstance(piece, Mapping))
    if content is None:
        return ""
    if not isinstance(content, str):
        raise InputError(f"a completion needs to be a text or a conversation, got {completion!r:.80}")
    return content
