"""``fiducial misground``: spatial grounding in labelled CT and MR volumes: build questions, ask a model, score it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fiducial.cli import common
from fiducial.config import Config, Text, as_fields, fields_of, option, read_part
from fiducial.errors import InputError, UnknownNameError
from fiducial.misground.building import BuildConfig

_STEPS = {
    "build": "make questions with exact answers from labelled volumes",
    "run": "ask a model or a baseline every question; can be stopped and goes on",
    "score": "count runs: by factor, with paired tests, as a page; several are compared",
}


@dataclass(frozen=True, kw_only=True)
class Build(BuildConfig):
    """Make questions about where things are from labelled volumes, with exact answers, one factor varied at a time.

    VOLUME is a folder with image.nii.gz (or a folder dicom), labels.nii.gz and labels.json; a YAML file with a list
    `volumes` of entries with image, labels, names, name, modality, truth, made_by; or a made phantom:
    phantom, "phantom?modality=MR&rotation=10,5,8". The folder that is written loads with Hugging Face datasets.
    """

    volumes: tuple[str, ...] = option(help="labelled volumes", positional=True)
    out: Path = option(help="folder of the benchmark", unit="DIR")


@dataclass(frozen=True, kw_only=True)
class Run(Config):
    """Ask every question of a benchmark. Killed at any moment, the same command goes on.

    Baselines: oracle (the right answers), first (the first option), majority (the place that is most often right),
    text-only (learned from the words alone), antonym-flip (every direction taken for its opposite).
    """

    benchmark: Path = option(help="a folder of fiducial misground build", positional=True)
    out: Path = option(help="folder of the run", unit="RUN")
    prompter: str | None = option(None, "a model that can talk: vlm:MODEL, endpoint:MODEL", unit="NAME[:MODEL][?k=v]")
    baseline: str | None = option(None, "in its place: oracle, first, majority, text-only, antonym-flip", unit="NAME")
    images: Literal["several", "sheet", "none"] = option(
        "several",
        "several slices as several pictures, as one sheet for models that take one, or none: the text alone",
        unit="several|sheet|none",
    )
    limit: int | None = option(None, "so many questions, whole situations drawn by the seed", unit="N", minimum=1)
    seed: int = option(0, "of that draw", unit="N", minimum=0)
    samples: int = option(
        1, "ask a model so often, with draws of its own, and take the choice that comes most often", unit="N", minimum=1
    )
    batch: int = option(8, "questions handed to the model together", unit="N", minimum=1)
    device: str | None = option(None, "cpu, cuda, cuda:1, mps (default: the best there is)", unit="D")
    set: tuple[Text, ...] = option((), "any option of the prompter: max_new_tokens=64", unit="OPTION=VALUE")
    retry_failed: bool = option(False, "ask again where a model gave no answer")
    quiet: bool = option(False, "show no progress")

    def asked(self) -> Config | None:
        """Return the prompter with what --device and --set say."""
        if self.prompter is None:
            if self.device is not None or self.set:
                raise InputError("--device and --set are the prompter's: give --prompter")
            return None
        found = read_part("prompter", self.prompter, "--prompter")
        settings: dict[str, Any] = dict(common.read_settings(self.set, "max_new_tokens=64"))
        return found.with_settings(settings if self.device is None else {"device": Text(self.device), **settings})


@dataclass(frozen=True, kw_only=True)
class Score(Config):
    """Count runs of fiducial misground run: summary.json, report.html and report.md in each; the first is compared."""

    runs: tuple[str, ...] = option(
        help="folders of runs; the first is what the others are held against", positional=True
    )
    out: Path | None = option(None, "folder for the comparison of several runs", unit="DIR")
    seed: int = option(0, "of the bootstrap", unit="N", minimum=0)
    json: bool = option(False, "print one JSON object a run and nothing else")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0
    if words[0] not in _STEPS:
        raise UnknownNameError("step of misground:", words[0], _STEPS)
    return {"build": _build, "run": _run, "score": _score}[words[0]](words[1:])


def _build(words: Sequence[str]) -> int:
    options = common.parse(Build, "misground build", words)
    from fiducial.misground.building import build
    from fiducial.misground.sources import read_sources

    values = as_fields(options)
    config = BuildConfig(**{field.name: values[field.name] for field, _ in fields_of(BuildConfig)})
    command = ["fiducial", "misground", "build", *words]
    built = build(read_sources(options.volumes), options.out, config, command=command)
    counts: dict[tuple[str, str], int] = {}
    for item in built.items:
        key = str(item.provenance["volume"]), item.factors.kind
        counts[key] = counts.get(key, 0) + 1
    for (volume, kind), count in counts.items():
        print(f"  {volume:<28}{kind.replace('_', ' '):<16}{count:>6}")
    spent = built.seconds["questions"]
    print(f"wrote {len(built.items)} questions to {built.folder}; {len(built.items) / max(spent, 1e-9):,.0f} a second")
    return 0


def _run(words: Sequence[str]) -> int:
    options = common.parse(Run, "misground run", words)
    from fiducial.evaluation.progress import Progress
    from fiducial.misground.asking import ask

    with Progress(options.prompter or options.baseline or "misground", quiet=options.quiet) as progress:
        done = ask(
            options.benchmark,
            options.out,
            prompter=options.asked(),
            baseline=options.baseline,
            images=options.images,
            limit=options.limit,
            seed=options.seed,
            samples=options.samples,
            batch=options.batch,
            retry_failed=options.retry_failed,
            command=["fiducial", "misground", "run", *words],
            on_reply=progress,
        )
    failed = sum(bool(reply.failure) for reply in done.replies().values())
    print(f"wrote {options.out}; count it: fiducial misground score {options.out}")
    if failed:
        print(f"fiducial: {failed} questions got no answer: ask them again with --retry-failed", file=sys.stderr)
    return 1 if failed else 0


def _score(words: Sequence[str]) -> int:
    options = common.parse(Score, "misground score", words)
    from fiducial.misground.asking import read_asked
    from fiducial.misground.report import percent, write_comparison, write_report
    from fiducial.misground.scoring import compare, read_scored, summarise

    found = []
    for folder in options.runs:
        asked = read_asked(folder)
        scored = read_scored(asked)
        summary = summarise(asked, scored, seed=options.seed)
        written = write_report(asked, summary, scored)
        found.append((asked, summary, scored))
        if options.json:
            common.print_json(summary.as_json())
            continue
        total = summary.total
        spread = f"{percent(total.low)} to {percent(total.high)}"
        print(
            f"{summary.name}: accuracy {percent(total.accuracy)} ({spread}) of {total.n:,} questions, "
            f"by chance {percent(total.chance)}, unread {percent(total.unread)}"
        )
        print("\n".join(f"  wrote {path}" for path in written))
    if len(found) > 1:
        names = [asked.name for asked, _, _ in found]
        if len(set(names)) < len(names):
            names = [asked.folder.resolve().name for asked, _, _ in found]
        differences = compare([(n, scored) for n, (_, _, scored) in zip(names, found, strict=True)], options.seed)
        if not options.json:
            for one in differences:
                apart, low, high = (
                    100 * each for each in (one.difference.value, one.difference.low, one.difference.high)
                )
                print(f"{one.name} - {names[0]}: {apart:+.1f} points ({low:+.1f} to {high:+.1f}), p {one.p:.3g}")
        if options.out is not None:
            named = [(name, summary) for name, (_, summary, _) in zip(names, found, strict=True)]
            paths = write_comparison(options.out, named, differences)
            print("\n".join(f"  wrote {path}" for path in paths), file=sys.stderr if options.json else sys.stdout)
    return 0


def _help() -> str:
    width = max(map(len, _STEPS))
    lines = [f"  {name:<{width}}  {what}" for name, what in _STEPS.items()]
    return "\n".join(
        ["usage: fiducial misground STEP ...", "", *lines, "", "fiducial misground STEP --help tells more."]
    )
