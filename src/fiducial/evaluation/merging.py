"""Merging: the parts of one run put together, or a run counted by another policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fiducial.errors import InputError
from fiducial.evaluation.folder import CARD, RECORDS, Run, differences, read_run
from fiducial.evaluation.records import Record, write_records
from fiducial.evaluation.running import fingerprint
from fiducial.evaluation.summary import score_record
from fiducial.metrics import policy


def merge(
    folders: Sequence[str | Path], out: str | Path, *, policy_name: str | None = None, partial: bool = False
) -> Run:
    """Put the shards of one run together; the numbers are those of the whole run.

    Args:
        folders: of the parts; one alone is copied, which is of use with another policy.
        out: folder of the merged run; it must not hold one.
        policy_name: count every sample anew by this policy.
        partial: allow that samples of the whole are missing.

    Raises:
        InputError: parts of different runs (the message shows what differs), a sample that is in two parts, samples
            that are missing, or ``out`` holds a run already.
    """
    out = Path(out)
    if (out / CARD).exists() or (out / RECORDS).exists():
        raise InputError(f"{out}: holds a run already: name a new folder")
    runs = [read_run(folder) for folder in folders]
    _check_same_run(runs)
    records = _gather(runs)
    planned = _planned(runs)
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
    out.mkdir(parents=True, exist_ok=True)
    merged = replace(
        runs[0],
        folder=out,
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
            told = "; ".join(changed).replace(" there,", f" in {runs[0].folder},").replace(" now", f" in {run.folder}")
            raise InputError(f"these are no parts of one run: {told}")


def _gather(runs: Sequence[Run]) -> list[Record]:
    found: dict[int, tuple[Record, Path]] = {}
    for run in runs:
        for record in run.records():
            if record.index in found:
                other = found[record.index][1]
                raise InputError(f"sample {record.index} ({record.id}) is in {other} and in {run.folder}")
            found[record.index] = record, run.folder
    return [found[index][0] for index in sorted(found)]


def _planned(runs: Sequence[Run]) -> int:
    """Return the number of samples of the whole run, of which each part knows its own number only."""
    settings = runs[0].settings
    count = int(settings["dataset"]["samples"])
    return count if settings["limit"] is None else min(count, int(settings["limit"]))
