"""Running: every sample once, whatever interrupts it, and the same numbers however it was cut up and merged."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fiducial.config import Config, as_fields, as_plain
from fiducial.contents import CONTENTS, contents_of, differences
from fiducial.datasets import Dataset, sample_ids
from fiducial.errors import InputError
from fiducial.evaluation.job import Bench, Job, Loader, code_of, measure_with_workers, task_digest, true_boxes
from fiducial.evaluation.record import Record, RecordFile, read_records, write_records
from fiducial.evaluation.run import CARD, RECORDS, Run, read_run
from fiducial.evaluation.summary import score_record
from fiducial.files import make_folder
from fiducial.language import Outcome
from fiducial.metrics import policy
from fiducial.metrics.boundaries import check_installed
from fiducial.provenance import session

OnRecord = Callable[[Record, int, int], None]
"""Called with every record when it is on the disk, the number done and the number planned."""

_CHECKED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which samples of a dataset belong to a run.

    Args:
        limit: so many samples, drawn by the seed; a larger limit holds those of a smaller one. None takes all.
        shard: part and number of parts, (1, 1) for the whole; the parts are alike in size and taken in turns.

    Example:
        >>> Selection(shard=(2, 3)).of(7)
        (1, 4)
    """

    limit: int | None = None
    shard: tuple[int, int] = (1, 1)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise InputError(f"a limit is at least 1 sample, got {self.limit}")
        part, parts = self.shard
        if not 1 <= part <= parts:
            raise InputError(f"a shard is written as 1/{max(parts, 1)} to {max(parts, 1)}/{max(parts, 1)}")

    def of(self, count: int) -> tuple[int, ...]:
        """Return the indices of the samples, rising, of a dataset with ``count``."""
        chosen = np.arange(count)
        if self.limit is not None and self.limit < count:
            chosen = np.sort(np.random.default_rng(self.seed).permutation(count)[: self.limit])
        part, parts = self.shard
        return tuple(int(index) for index in chosen[part - 1 :: parts])


def evaluate(
    work: Bench | Job,
    out: str | Path,
    *,
    selection: Selection | None = None,
    recipe: Mapping[str, Any] | None = None,
    workers: int = 1,
    retry_failed: bool = False,
    loader: Loader | None = None,
    command: Sequence[str] = (),
    on_record: OnRecord | None = None,
) -> Run:
    """Measure every sample that has no record yet, one after the other or in several processes.

    Args:
        work: a bench, or a job, which several processes can share.
        out: folder of the run; one that holds a part of the same run is continued.
        selection: which samples; default: all.
        recipe: what the pipeline of a bench is made of, for the card; a job knows its own.
        workers: number of processes; more than 1 needs a job.
        retry_failed: first drop the records whose outcome is ``failed``, so that these samples are asked again.
        loader: keeps the models of a job for the next one.
        command: the words that started this, for the card.
        on_record: called with every record.

    Raises:
        InputError: the folder holds another run, or a sample cannot be read; what was measured before is kept.
        ModelError: a part broke its contract, or a worker died.
    """
    check_installed()
    selection = selection or Selection()
    if workers < 1 or (workers > 1 and not isinstance(work, Job)):
        raise InputError("workers is 1 or more, and several processes need a job that each of them can open")
    dataset = work.dataset.build() if isinstance(work, Job) else work.dataset
    ids = sample_ids(dataset)
    if len(set(ids)) < len(ids):
        name, _ = Counter(ids).most_common(1)[0]
        raise InputError(f"{dataset.name}: sample {ids.index(name)} has the id {name!r} of another one")
    indices = selection.of(len(ids))
    if not indices:
        raise InputError(f"{dataset.name}: no sample belongs to this run (the dataset has {len(ids)})")
    run = _prepare(Path(out), _settings(work, dataset, ids, selection, recipe), len(indices), work, list(command))
    if retry_failed:
        _drop_failed(run)
    with RecordFile(run.records_path) as file:
        _check_same_data(run, dataset, file.done, frozenset(indices))
        pending = [index for index in indices if index not in file.done]
        for record in _measured(work, dataset, pending, workers, loader):
            if record.id != ids[record.index]:
                raise InputError(
                    f"{dataset.name}: sample {record.index} is {record.id!r}, but {ids[record.index]!r} was listed"
                )
            file.append(record)
            if on_record is not None:
                on_record(record, len(file.done), len(indices))
        run = replace(run, fingerprint=fingerprint(file.done))
    run.write_card()
    return run


def fingerprint(digests: Mapping[int, str]) -> str:
    """Name a set of tasks: SHA-256 over their digests in order."""
    return hashlib.sha256("\n".join(f"{i} {digests[i]}" for i in sorted(digests)).encode()).hexdigest()


def _measured(
    work: Bench | Job, dataset: Dataset, indices: Sequence[int], workers: int, loader: Loader | None
) -> Iterator[Record]:
    if not indices:
        return iter(())
    if workers > 1 and isinstance(work, Job):
        return measure_with_workers(work, indices, workers)
    bench = work.open(dataset, loader) if isinstance(work, Job) else work
    return (bench.measure(index) for index in indices)


def _settings(
    work: Bench | Job, dataset: Dataset, ids: Sequence[str], selection: Selection, recipe: Mapping[str, Any] | None
) -> dict[str, Any]:
    made_of = work.recipe.as_json() if isinstance(work, Job) else dict(recipe or {"name": work.pipeline.name})
    if work.source is not None:
        made_of["prompter"] = {"name": str(work.source)}
    listing = hashlib.sha256("\n".join(ids).encode("utf-8", "backslashreplace")).hexdigest()
    return {
        "dataset": {
            "name": dataset.name,
            "split": work.dataset.split if isinstance(work, Job) else None,
            "samples": len(ids),
            "ids_sha256": listing,
        },
        "recipe": made_of,
        "prompter": str(work.source or ""),
        "policy": work.policy if isinstance(work, Job) else work.policy.name,
        "boundaries": work.boundaries,
        "seed": selection.seed,
        "limit": selection.limit,
        "shard": f"{selection.shard[0]}/{selection.shard[1]}",
        CONTENTS: contents_of(made_of, as_plain(work.dataset) if isinstance(work, Job) else {}),
    }


def _prepare(folder: Path, settings: Mapping[str, Any], planned: int, work: Bench | Job, command: list[str]) -> Run:
    """Write the card of a new run, or check that the folder holds this very run and add a session to its card."""
    here = session(command)
    if (folder / CARD).exists():
        run = read_run(folder)
        changed = differences(run.settings, settings)
        if changed:
            raise InputError(
                f"{folder} holds a run with other settings ({'; '.join(changed)}): take another --out, or the settings "
                "of that run; `fiducial merge` counts a run by another policy"
            )
        run = replace(run, sessions=(*run.sessions, here))
        run.write_card()
        return run
    if (folder / RECORDS).exists():
        raise InputError(f"{folder}: has {RECORDS} but no {CARD}: take another folder")
    run = Run(
        make_folder(folder),
        settings,
        (here,),
        planned,
        as_plain(_absolute(work.dataset)) if isinstance(work, Job) else "",
    )
    run.write_card()
    return run


def _absolute(config: Config) -> Config:
    """Return a description whose paths mean the same from every folder."""
    changed: dict[str, Any] = {}
    for name, value in as_fields(config).items():
        if isinstance(value, Config):
            changed[name] = _absolute(value)
        elif isinstance(value, Path) and value.exists():
            changed[name] = value.resolve()
    return config.with_settings(changed) if changed else config


def _drop_failed(run: Run) -> None:
    if run.records_path.exists():
        with RecordFile(run.records_path):  # nobody else may be writing
            kept = [record for record in read_records(run.records_path) if record.outcome is not Outcome.FAILED]
            write_records(run.records_path, kept)


def _check_same_data(run: Run, dataset: Dataset, done: Mapping[int, str], planned: Iterable[int]) -> None:
    """Compare a few of the samples that have records with the dataset as it is now."""
    if not set(done) <= set(planned):
        raise InputError(f"{run.records_path}: holds samples that do not belong to this run: was the file edited?")
    indices = sorted(done)
    for index in indices[:: max(1, len(indices) // _CHECKED)]:
        sample = dataset[index]
        codes = [code_of(None if sample.instances is None else sample.truth), code_of(sample.ignore)]
        if task_digest(sample.instruction, sample.image(), codes, true_boxes(sample)) != done[index]:
            raise InputError(
                f"{dataset.name}: sample {index} is not what it was when {run.folder} was begun "
                "(picture, instruction or truth changed): take another --out"
            )


# -- merging ------------------------------------------------------------------------------------------


def merge(
    folders: Sequence[str | Path], out: str | Path, *, policy_name: str | None = None, partial: bool = False
) -> Run:
    """Put the shards of one run together; the numbers are those of the whole run.

    Args:
        folders: of the parts; one alone is copied, which is of use with another policy.
        out: folder of the merged run; it must not hold one.
        policy_name: count every sample anew by this policy.
        partial: allow that samples of the whole are missing.
    """
    out = Path(out)
    if (out / CARD).exists() or (out / RECORDS).exists():
        raise InputError(f"{out}: holds a run already: name a new folder")
    runs = [read_run(folder) for folder in folders]
    _check_same_run(runs)
    records = _gather(runs)
    # Each part knows its own number only.
    planned = int(runs[0].settings["dataset"]["samples"])
    if runs[0].settings["limit"] is not None:
        planned = min(planned, int(runs[0].settings["limit"]))
    if len(records) < planned and not partial:
        raise InputError(
            f"the parts have records of {len(records)} of {planned} samples: name every part, finish those that were "
            "interrupted, or count what there is with --partial"
        )
    settings = {**runs[0].settings, "shard": "1/1"}
    if policy_name is not None:
        rules = policy(policy_name)
        settings["policy"] = rules.name
        boundaries = bool(settings["boundaries"])
        records = [replace(one, score=score_record(one, rules, boundaries).as_json()) for one in records]
    merged = replace(
        runs[0],
        folder=make_folder(out),
        settings=settings,
        sessions=tuple(session for run in runs for session in run.sessions),
        planned=planned,
        fingerprint=fingerprint({record.index: record.digest for record in records}),
    )
    write_records(merged.records_path, records)
    merged.write_card()
    return merged


def _check_same_run(runs: Sequence[Run]) -> None:
    if not runs:
        raise InputError("name at least one folder to merge")
    first = {**runs[0].settings, "shard": ""}
    for run in runs[1:]:
        changed = differences(first, {**run.settings, "shard": ""})
        if changed:
            lines = "; ".join(changed).replace(" there,", f" in {runs[0].folder},").replace(" now", f" in {run.folder}")
            raise InputError(f"these are no parts of one run: {lines}")


def _gather(runs: Sequence[Run]) -> list[Record]:
    found: dict[int, tuple[Record, Path]] = {}
    for run in runs:
        for record in run.records():
            if record.index in found:
                other = found[record.index][1]
                raise InputError(f"sample {record.index} ({record.id}) is in {other} and in {run.folder}")
            found[record.index] = record, run.folder
    return [found[index][0] for index in sorted(found)]
