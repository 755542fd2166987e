"""Descriptions: what a batch is given, and what the processes that work on it are told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fiducial.config import Config, option
from fiducial.errors import InputError
from fiducial.images import DEFAULT_MAX_PIXELS
from fiducial.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class BatchOptions(Config):
    """How a batch is read, worked on and written."""

    images: Path | None = option(None, "folder from which paths start (default: the manifest's own)", unit="DIR")
    recursive: bool = option(False, "of a folder: also take the pictures in its folders")
    dialect: str | None = option(None, "how replies are written, where a row does not say it", unit="D")
    shard: int = option(1000, "rows in one Parquet file", unit="N", minimum=1, maximum=1_000_000)
    coco: bool = option(False, "also write one COCO file for everything")
    workers: int = option(1, "processes, each with its own models; 0 works in this one", unit="N", minimum=0)
    threads: int = option(1, "on which each process computes", unit="N", minimum=1)
    engine: Literal["processes", "ray"] = option("processes", "where they run: processes of this machine, or ray")
    address: str | None = option(None, "of ray: a cluster that runs already (default: one is started here)", unit="A")
    gpus: float = option(0.0, "of ray: accelerators for each process", unit="N", minimum=0)
    max_pixels: int = option(DEFAULT_MAX_PIXELS, "refuse larger pictures before decoding", unit="N", minimum=1)

    def check(self) -> None:
        """Refuse options of ray where it is not asked for, and a dialect that nobody knows."""
        from fiducial.language.dialects import dialect

        if self.engine == "ray" and not self.workers:
            raise InputError("ray works in processes of its own: workers is 1 or more")
        if self.engine != "ray" and (self.address is not None or self.gpus):
            raise InputError("address and gpus are for the engine ray")
        if self.dialect is not None:
            dialect(self.dialect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work(Config):
    """What a process is told before it is given rows."""

    recipe: Recipe = option(help="the resolved recipe")
    base: Path = option(help="folder from which paths start")
    max_pixels: int = option(DEFAULT_MAX_PIXELS, "refuse larger pictures before decoding", minimum=1)
    threads: int | None = option(None, "to compute on; none leaves it to what computes", minimum=1)
