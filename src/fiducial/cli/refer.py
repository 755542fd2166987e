"""``fiducial refer``: instructions with exact truth: referring expressions, or questions in PRS-Med's manner."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fiducial.cli import common
from fiducial.config import Config, fields_of, option
from fiducial.datasets import DatasetConfig, describe_dataset
from fiducial.datasets.configs import FolderConfig
from fiducial.errors import InputError, UnknownNameError
from fiducial.files import make_folder, write_atomically
from fiducial.reasoner.questions import Phrasing, Sides
from fiducial.reasoner.subjects import is_known
from fiducial.synthetic.expressions import FAMILIES
from fiducial.synthetic.referring import referring_expressions, write_expressions


@dataclass(frozen=True, kw_only=True)
class Refer(Config):
    """Make instructions with exact truth from annotations: referring expressions, or questions as PRS-Med asks them."""

    dataset: str = option(help="a folder, FORMAT:PATH?key=value, scenes:STYLE or a YAML file", positional=True)
    out: Path = option(help="the JSONL file to write; prs-med: a .csv file takes PRS-Med's columns", unit="FILE")
    style: Literal["referring", "prs-med"] = option(
        "referring", "expressions that pick among instances, or questions and answers about where masks lie"
    )
    seed: int = option(0, "of all draws", unit="N", minimum=0)
    per_image: int = option(6, "referring: most expressions of one picture", unit="N", minimum=1)
    families: tuple[str, ...] = option((), f"referring: only these: {', '.join(FAMILIES)}", unit="F,F")
    split: str | None = option(None, "part of the dataset (default: all)", unit="S")
    target: str = option(
        "", "prs-med: what the masks show, such as polyp (default: what the dataset says)", unit="NAME"
    )
    modality: str = option("", "prs-med: kind of picture, such as endoscopy (default: the target's)", unit="NAME")
    apart: bool = option(False, "prs-med: large connected pieces of a mask are targets of their own")
    questions: int = option(1, "prs-med: questions about each mask", unit="N", minimum=1)
    phrasing: Phrasing = option("training", "prs-med: wordings to choose from")
    sides: Sides = option(
        "image",
        "prs-med: whose left and right: the picture's, or the patient's, whose right lies at the picture's left "
        "(radiological) or, as in its mirror image, right (neurological)",
    )

    def check(self) -> None:
        """Refuse families that do not exist, and options of the other style."""
        for name in self.families:
            if name not in FAMILIES:
                raise UnknownNameError("family", name, FAMILIES)
        defaults = {field.name: field.default for field, _ in fields_of(type(self))}
        for style, names in _OF_STYLE.items():
            given = [name for name in names if getattr(self, name) != defaults[name]]
            if given and style != self.style:
                option_name = given[0].replace("_", "-")
                raise InputError(f"--{option_name} belongs to the style {style}: give --style {style}, or leave it out")


_ASKED = ("target", "modality", "apart", "questions", "phrasing", "sides")
_OF_STYLE = {"referring": ("per_image", "families"), "prs-med": _ASKED}


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Refer, "refer", words)
    source = describe_dataset(options.dataset, split=options.split)
    make_folder(options.out.parent)
    return _ask(options, source) if options.style == "prs-med" else _refer(options, source)


def _refer(options: Refer, source: DatasetConfig) -> int:
    from fiducial.evaluation.progress import Progress

    families, dataset = options.families or None, source.build()
    with Progress("refer", brief=True) as progress:
        found = referring_expressions(
            dataset, options.seed, per_image=options.per_image, families=families, on_picture=progress.count
        )
    write_expressions(options.out, found, source)
    for family, count in sorted(Counter(expression.family for expression in found).items()):
        print(f"  {family:<22}{count}")
    print(f"wrote {len(found)} expressions to {options.out}")
    print(f"evaluate on them: fiducial evaluate referring:{options.out} ...")
    return 0


def _note_unknown(asked: Collection[tuple[str, str]], sides: Sides) -> None:
    """Say which names are none that are known: they are taken as they stand, and nothing is known of such pictures."""
    for modality, target in sorted(asked):
        if not is_known(target, modality):
            doubt = ", and nobody knows whether such a picture has sides of the patient" if sides != "image" else ""
            print(f"note: {target!r} is asked for as written: no known target of a {modality}{doubt}", file=sys.stderr)


def _ask(options: Refer, source: DatasetConfig) -> int:
    from fiducial.reasoner.asking import question_lines, question_table, shared_folder
    from fiducial.reasoner.configs import AskedConfig

    asked = AskedConfig(source=source, seed=options.seed, **{name: getattr(options, name) for name in _ASKED})
    samples = list(asked.build())
    as_table = options.out.suffix.lower() == ".csv"
    if as_table:
        root = shared_folder(samples)
        write_atomically(options.out, question_table(samples, root))
    else:
        write_atomically(options.out, question_lines(samples))
    counts = Counter((sample.meta["modality"], sample.meta["target"], sample.meta["position"]) for sample in samples)
    for (modality, target, position), count in sorted(counts.items()):
        named = f"{modality}, {target}, {position or 'nothing there'}"
        print(f"  {named:<46}{count}")
    _note_unknown({(modality, target) for modality, target, _ in counts}, options.sides)
    print(f"wrote {len(samples)} questions to {options.out}")
    if as_table:
        print(f'evaluate on them: fiducial evaluate "prs-med:{options.out}?root={root}" ...')
    elif isinstance(source, FolderConfig):
        print(f'evaluate on them: fiducial evaluate "folder:{source.path}?table={options.out}" ...')
    return 0
