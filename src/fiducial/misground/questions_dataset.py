"""The questions of a benchmark as samples, for models to learn from: what is asked and shown, and what to reply.

They are asked here as `fiducial misground run` asks them: the same words, and several slices as one numbered sheet
(``--images sheet``), as training takes one picture a question.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

from fiducial.datasets import Listing, Sample
from fiducial.datasets.files import choose_splits, picture_size
from fiducial.datasets.sample import Choice
from fiducial.misground.asking import pictures_of
from fiducial.misground.configs import MisgroundConfig, ReplyForm
from fiducial.misground.items import Item, read_items


def open_questions(config: MisgroundConfig) -> Listing:
    """Open the questions of a benchmark.

    ``meta`` holds each question's factors, its situation, and its volume.

    Raises:
        InputError: the folder is no benchmark, or holds no question of these kinds.
    """
    choose_splits([""], config.split, config.path)
    items = [item for item in read_items(config.path) if not config.kinds or item.factors.kind in config.kinds]
    rows = ((item.id, partial(sample_of, item, config.path, config.reply)) for item in items)
    return Listing("misground", config.path, rows)


def sample_of(item: Item, folder: Path, reply: ReplyForm, key: str) -> Sample:
    """Make the sample of a question; ``key`` is its id."""
    path = folder / item.images[0]
    sheet = pictures_of(folder, item, "sheet")[0] if len(item.images) > 1 else None
    return Sample(
        id=key,
        image_path=path if sheet is None else None,
        picture=sheet,
        instruction=item.text,
        instances=None,
        size=picture_size(path) if sheet is None else (sheet.height, sheet.width),
        meta={"volume": item.provenance["volume"], "situation": item.situation, **asdict(item.factors)},
        choice=Choice(item.options, item.answer, item.letter if reply == "letter" else item.options[item.answer]),
    )
