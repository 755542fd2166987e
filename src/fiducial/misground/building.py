"""Building a benchmark: questions of every kind from labelled volumes, their pictures, and what made them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fiducial.config import Config, as_plain, option
from fiducial.errors import InputError, UnknownNameError
from fiducial.files import json_text, make_folder, replace_folder, write_atomically
from fiducial.misground.anatomy import Anatomy
from fiducial.misground.drawing import Balance, Drawer
from fiducial.misground.items import CARD, ITEMS, KINDS, Item, Kind, item_lines
from fiducial.misground.pictures import Painter, Picture
from fiducial.misground.questions import Questions
from fiducial.misground.sources import PhantomConfig, Source, SourceConfig
from fiducial.provenance import session

_TRIES = 400
"""Draws in a row of which none is of use, after which a volume has no more questions of that kind."""


@dataclass(frozen=True, kw_only=True)
class BuildConfig(Config):
    """How questions are made from labelled volumes."""

    seed: int = option(0, "of all draws", minimum=0)
    per_volume: int = option(1000, "questions from each volume, at most", unit="N", minimum=1)
    kinds: tuple[str, ...] = option((), f"kinds of question: {', '.join(KINDS)} (default: all)", unit="KIND,KIND")
    margin: float = option(5.0, "by which every answer is clear; two voxels where those are larger", unit="mm", above=0)
    area: float = option(60.0, "that a structure needs in a slice", unit="square mm", above=0)
    slices: int = option(6, "of a stack", unit="N", minimum=2, maximum=64)
    apart: float = option(20.0, "between two slices that are compared", unit="mm", above=0)
    size: int = option(448, "longer side of the pictures; slices are never made smaller", unit="pixels", minimum=32)

    def check(self) -> None:
        """Refuse kinds that nobody knows."""
        for kind in self.kinds:
            if kind not in KINDS:
                raise UnknownNameError("kind of question", kind, KINDS)


@dataclass(frozen=True, slots=True)
class Built:
    """A benchmark as it was built.

    Args:
        folder: where it lies.
        items: its questions.
        dropped: by volume, variants of questions that were not asked, by reason.
        seconds: spent on questions and on pictures, volumes' loading left out.
    """

    folder: Path
    items: tuple[Item, ...]
    dropped: dict[str, dict[str, int]]
    seconds: dict[str, float]


def questions_of(
    source: Source, config: BuildConfig, number: int = 0
) -> tuple[Questions, list[tuple[Item, tuple[Picture, ...]]]]:
    """Make the questions of one volume, with the pictures that each needs; nothing is painted yet.

    Args:
        source: the labelled volume.
        config: how.
        number: of the volume among others, for the draws.
    """
    random = np.random.default_rng([config.seed, number])
    balance = Balance(random)
    anatomy = Anatomy(source.volume, source.labels)
    if len(anatomy.known) < 2:
        raise InputError(f"{source.name}: fewer than two of its labels have 50 voxels: nothing can be asked about them")
    drawer = Drawer(
        anatomy,
        balance,
        random,
        margin=config.margin,
        area=config.area,
        slices=config.slices,
        apart=config.apart,
    )
    questions = Questions(drawer, source.name, source.provenance())
    return questions, list(_drawn(questions, balance, config))


def _drawn(questions: Questions, balance: Balance, config: BuildConfig) -> Iterator[tuple[Item, tuple[Picture, ...]]]:
    """Draw situations, always of the kind with the fewest questions so far, until there are enough."""
    counts: dict[Kind, int] = {kind: 0 for kind in KINDS if kind in config.kinds or not config.kinds}
    known: set[str] = set()
    number = total = 0
    while counts and total < config.per_volume:
        kind = min(counts, key=lambda one: counts[one])
        for _ in range(_TRIES):
            situation = questions.drawer.draw(kind)
            if situation is None or situation.key(questions.volume) in known:
                continue
            made = list(questions.items(situation, number))[: config.per_volume - total]
            if made:
                break
        else:
            del counts[kind]
            continue
        known.add(situation.key(questions.volume))
        balance.add(kind, situation.order.index(situation.right), len(made))
        counts[kind] += len(made)
        number, total = number + 1, total + len(made)
        yield from made


def build(
    sources: Sequence[SourceConfig | PhantomConfig],
    out: str | Path,
    config: BuildConfig | None = None,
    *,
    command: Sequence[str] = (),
) -> Built:
    """Build a benchmark into a folder that Hugging Face ``datasets`` loads: ``metadata.jsonl`` and ``images/``.

    The same sources, configuration and seed give the same bytes.

    Args:
        sources: labelled volumes.
        out: the folder; one that holds a benchmark is replaced as a whole when the new one is complete.
        config: how questions are made.
        command: the words that started this, for the card.

    Raises:
        InputError: a volume cannot be read or holds too little, or the folder holds something else.
        OrientationError: the two ways of working out an answer disagree.
    """
    config, out = config or BuildConfig(), Path(out)
    if out.exists() and any(out.iterdir()) and not (out / CARD).exists():
        raise InputError(f"{out}: holds something else than a benchmark: take a new folder")
    make_folder(out.parent)
    part = make_folder(out.with_name(f".{out.name}.part"))
    items: list[Item] = []
    dropped, described, seconds = {}, [], {"questions": 0.0, "pictures": 0.0}
    names: Counter[str] = Counter()
    for number, described_source in enumerate(sources):
        source = described_source.open()
        names[source.name] += 1
        if names[source.name] > 1:
            source = replace(source, name=f"{source.name}-{names[source.name]}")
        started = time.perf_counter()
        questions, made = questions_of(source, config, number)
        seconds["questions"] += time.perf_counter() - started
        if not made:
            raise InputError(f"{source.name}: no question could be made: are its labels large enough, and apart?")
        started = time.perf_counter()
        _paint(part, questions.anatomy, source, made, config.size)
        seconds["pictures"] += time.perf_counter() - started
        items += [item for item, _ in made]
        dropped[source.name] = dict(questions.dropped)
        described.append(_described(described_source, source, len(made), questions.anatomy))
    write_atomically(part / ITEMS, item_lines(items))
    card = {
        "misground": 1,
        **session(command),
        "config": as_plain(config),
        "volumes": described,
        "items": len(items),
        "kinds": dict(Counter(item.factors.kind for item in items)),
        "dropped": dropped,
    }
    write_atomically(part / CARD, json_text(card))
    replace_folder(out, part)
    return Built(out, tuple(items), dropped, seconds)


def _described(config: SourceConfig | PhantomConfig, source: Source, count: int, anatomy: Anatomy) -> dict[str, Any]:
    return {
        **source.provenance(),
        "source": as_plain(config),
        "modality": source.volume.modality,
        "axes": source.volume.axes,
        "spacing_mm": [round(float(size), 4) for size in source.volume.spacing],
        "shape": list(source.volume.shape),
        "structures": len(anatomy.known),
        "notes": list(source.notes),
        "items": count,
    }


def _paint(
    folder: Path, anatomy: Anatomy, source: Source, made: Sequence[tuple[Item, tuple[Picture, ...]]], size: int
) -> None:
    """Paint each picture once."""
    import cv2

    painter = Painter(anatomy, source.volume.window(), size)
    pictures = dict.fromkeys(picture for _, several in made for picture in several)
    for picture in sorted(pictures, key=lambda one: (one.plane, one.index, one.view)):
        path = folder / picture.path
        path.parent.mkdir(parents=True, exist_ok=True)
        done, data = cv2.imencode(".png", painter.paint(picture)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 3])
        if not done:
            raise InputError(f"{path}: the picture cannot be written as PNG")
        path.write_bytes(data.tobytes())
