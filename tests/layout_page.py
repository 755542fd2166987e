"""``python tests/layout_page.py`` prints the page ``docs/datasets.md``: the trees that the readers expect."""

import sys

from fiducial.cli.describe import describe
from fiducial.config import summary
from fiducial.datasets import coco, folder, layouts, panoptic, questions, refer, voc
from fiducial.datasets.configs import PathConfig
from fiducial.volumes import dataset as volume

TREES = {
    "folder": folder.EXPECTED,
    "coco": coco.EXPECTED,
    "panoptic": panoptic.EXPECTED,
    "voc": voc.EXPECTED,
    "refcoco": refer.EXPECTED,
    "earthreason": questions.EARTHREASON,
    "refsegrs": folder.REFSEGRS,
    "risbench": folder.RISBENCH,
    "reasonseg": questions.REASONSEG,
    "prs-med": questions.PRSMED,
    "volume": volume.EXPECTED,
}
SAME = {"refcoco": ("refcoco", "refcoco+", "refcocog", "grefcoco", "rrsisd")}
"""Layouts that share a tree."""

HEAD = """# Dataset layouts

Made by `python tests/layout_page.py`; do not edit.

A dataset is named wherever one is taken, `fiducial evaluate`, `refer`, `train`, `export` and
`fiducial.datasets.open_dataset`: by `FORMAT:PATH`, or by a path alone whose layout is recognised from its names.
Options follow as in an address: `coco:DATA?per=image&held_out=0.15`. Annotations are read when it is opened, pictures
and masks sample by sample. A folder that lacks something is refused with the tree that was expected beside the one
that was found.

A dataset of your own is most easily a [plain folder](#folder) or [COCO](#coco); a reader of your own is
[a class and a function](how-to/dataset.md).

## Every dataset

"""
MADE = """## Made, not read

| name | what |
|---|---|
| `scenes:STYLE?count=50&seed=1` | drawn scenes with exact truth: `shapes`, `aerial`, `phantom` |
| `referring:FILE` | the instructions that `fiducial refer DATASET --out FILE` wrote |
| `asked:FOLDER` | questions in PRS-Med's manner about the masks of another dataset |
| `misground:FOLDER` | the questions that `fiducial misground build` wrote |

`fiducial describe NAME` lists the options of each.
"""


def layout_page() -> str:
    """Write the page: a section per layout, with its tree and its own options."""
    shared = {row[0] for row in describe(PathConfig)} - {"path"}
    parts = [HEAD, _options([row for row in describe(PathConfig) if row[0] in shared]), "\n"]
    for name, tree in TREES.items():
        known = layouts()
        parts.append(f"## {name}\n\n")
        for one in SAME.get(name, (name,)):  # one paragraph each
            parts.append(f"`{one}:PATH`: {summary(known[one])}\n\n")
        parts.append(f"```text\n{tree.strip()}\n```\n\n")
        own = [row for row in describe(known[name]) if row[0] not in shared]
        parts += [_options(own), "\n"]
    return "".join([*parts, MADE])


def _options(rows: list[tuple[str, str, str, str]]) -> str:
    lines = ["| option | takes | default | |", "|---|---|---|---|"]
    for name, kind, default, words in rows:
        shown = f"`{default}`" if default not in ("", "needed") else default
        lines.append(f"| `{name}` | {kind.replace(' | ', ' or ')} | {shown} | {words} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(layout_page())
