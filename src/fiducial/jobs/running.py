"""Running a batch: rows written down, worked on, written out and counted; stopped at any moment, it goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fiducial.config import Config
from fiducial.contents import CONTENTS, contents_of
from fiducial.errors import InputError
from fiducial.files import json_text, write_atomically
from fiducial.jobs.configs import BatchOptions, Work
from fiducial.jobs.engines import engine
from fiducial.jobs.ledger import Ledger
from fiducial.jobs.manifest import Manifest
from fiducial.jobs.shards import DEAD_LETTERS, RESULTS, check, require_parquet, write_coco, write_dead, write_shard
from fiducial.jobs.working import DEAD
from fiducial.provenance import RUN_CARD, session
from fiducial.recipes import DEFAULT_RECIPE, Recipe, resolve

OnRow = Callable[[str, int, int], None]
"""Called with how a row ended, the number that have ended, and the number of all."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that is done.

    Args:
        folder: where it lies.
        rows: how many it has.
        outcomes: rows by how they ended; ``dead`` is the outcome of those of which nothing came.
        targets: masks in all.
        new: rows that ended now, and not in an earlier session.
        notes: what was passed over or done again, one line each.
    """

    folder: Path
    rows: int
    outcomes: Mapping[str, int]
    targets: int
    new: int = 0
    notes: tuple[str, ...] = ()

    @property
    def dead(self) -> int:
        """How many rows nothing came of: they stand in ``dead.jsonl`` with the reasons."""
        return self.outcomes.get(DEAD, 0)

    @property
    def results(self) -> list[Path]:
        """The Parquet files, in order."""
        return sorted((self.folder / RESULTS).glob("part-*.parquet"))

    @property
    def dead_letters(self) -> Path:
        """The file of the rows of which nothing came."""
        return self.folder / DEAD_LETTERS

    def as_json(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        return {
            "rows": self.rows,
            "done": self.rows - self.dead,
            "dead": self.dead,
            "targets": self.targets,
            "outcomes": dict(self.outcomes),
            "new": self.new,
        }


def run(
    manifest: str | Path,
    out: str | Path,
    instruction: str = "",
    *,
    recipe: str | Path | Recipe = DEFAULT_RECIPE,
    options: BatchOptions | None = None,
    command: Sequence[str] = (),
    on_row: OnRow | None = None,
) -> Batch:
    """Segment every row of a manifest into a folder; begun before, it goes on with what is left.

    Every row ends once: done, as rows of ``results/part-*.parquet``, or dead, in ``dead.jsonl`` with the reason. The
    files are the same however often it was stopped, and however many processes worked on it.

    Args:
        manifest: a CSV, JSON Lines or Parquet file (see :mod:`fiducial.jobs.manifest`), or a folder of pictures.
        out: folder of the batch; one that holds a part of the same batch is continued.
        instruction: for rows that have none of their own.
        recipe: a shipped recipe's name, a YAML file, or a Recipe.
        options: how it is read, worked on and written.
        command: the words that started this, for the card.
        on_row: is told of every row that ends.

    Raises:
        InputError: the manifest or the options make no sense, the folder holds another batch, another process works
            on it, or the disk is full.
        ModelError: the models cannot be loaded.
    """
    require_parquet()
    options, recipe = options or BatchOptions(), resolve(recipe)
    rows = Manifest(Path(manifest), instruction, options.dialect, options.recursive)
    base = (options.images or rows.base).absolute()  # processes elsewhere start in other folders
    settings = _settings(rows, recipe, options)
    with Ledger(Path(out), settings, rows, together=_together(recipe.prompter), shard=options.shard) as ledger:
        asks = ledger.asks()
        if asks and recipe.prompter is None:
            raise InputError("some rows are asked for in words, and no prompter answers: name a recipe with one")
        _write_card(ledger, settings, command)
        new = 0
        _write_shards(ledger)
        counts = ledger.counts()
        if "" in counts:
            # What only cuts needs no prompter, which may be the larger model.
            made_of = recipe if asks or recipe.segmenter is None else replace(recipe, prompter=None)
            threads = options.threads if options.workers else None
            work = Work(recipe=made_of, base=base, max_pixels=options.max_pixels, threads=threads)
            new = _work(ledger, work, options, on_row, counts)
        check(ledger)
        write_dead(ledger, base)
        if options.coco:
            write_coco(ledger)
        return _batch(ledger, new, rows.skipped)


def _settings(manifest: Manifest, recipe: Recipe, options: BatchOptions) -> dict[str, Any]:
    """Return what determines the results."""
    made_of = recipe.as_json()
    return {
        "manifest": {"sha256": manifest.fingerprint()},
        "instruction": manifest.instruction,
        "dialect": options.dialect,
        "images": None if options.images is None else str(options.images),
        "recursive": options.recursive,
        "max_pixels": options.max_pixels,
        "shard": options.shard,
        "recipe": made_of,
        CONTENTS: contents_of(made_of, {}),
    }


def _together(prompter: Config | None) -> int:
    """Say about how many rows the prompter is asked at once."""
    most = (getattr(prompter, name, None) for name in ("batch_size", "concurrency"))
    return max([1, *(number for number in most if isinstance(number, int))])


def _work(
    ledger: Ledger, work: Work, options: BatchOptions, on_row: OnRow | None, counts: Mapping[str, tuple[int, int]]
) -> int:
    """Work on what is left; returns how many rows ended."""
    planned = sum(rows for rows, _ in counts.values())
    before, new = planned - counts[""][0], 0
    with contextlib.closing(engine(options, work, ledger.lots())) as every:
        for ended in every:
            ledger.end(ended)
            _write_shards(ledger)
            for one in ended:
                new += 1
                if on_row is not None:
                    on_row(one.outcome, before + new, planned)
    return new


def _write_shards(ledger: Ledger) -> None:
    for shard in ledger.whole_shards():
        ledger.written(shard, write_shard(ledger.folder, shard, ledger.of_shard(shard)))


def _write_card(ledger: Ledger, settings: Mapping[str, Any], command: Sequence[str]) -> None:
    sessions = [*(ledger.recall("sessions") or []), session(command)]
    ledger.keep("sessions", sessions)
    write_atomically(ledger.folder / RUN_CARD, json_text({**settings, "sessions": sessions}))


def _batch(ledger: Ledger, new: int, skipped: Sequence[str]) -> Batch:
    counts = ledger.counts()
    notes = [f"skipped {line}" for line in skipped]
    notes += [f"{ledger.folder / name}: was gone or cut, and is made anew" for name in ledger.lost]
    return Batch(
        folder=ledger.folder,
        rows=sum(rows for rows, _ in counts.values()),
        outcomes={outcome: rows for outcome, (rows, _) in counts.items()},
        targets=sum(targets for _, targets in counts.values()),
        new=new,
        notes=tuple(notes),
    )
