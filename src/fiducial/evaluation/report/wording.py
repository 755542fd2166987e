"""Names of numbers, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fiducial.evaluation.precision import Precision
from fiducial.metrics import Policy

LABELS = {
    "mean_iou": ("mean IoU", "mean of each sample's mask IoU (gIoU in reasoning segmentation, mIoU in referring)"),
    "cum_iou": ("cumulative IoU", "sum of intersections over sum of unions (cIoU, oIoU): large targets weigh most"),
    "dice": ("Dice", "mean of each sample's Dice"),
    "n_acc": ("N-acc", "samples without a target that were taken for that"),
    "t_acc": ("T-acc", "samples with a target that were taken for that"),
    "boundary_f": ("boundary F", "mean F-score of the outlines"),
    "hausdorff95": ("Hausdorff 95", "mean 95 % distance of the outlines; of samples that have one"),
    "box_iou": ("box IoU", "mean IoU of boxes"),
    "box_giou": ("box GIoU", "mean generalised IoU of boxes, -1 to 1"),
    "box_diou": ("box DIoU", "mean distance IoU of boxes, -1 to 1"),
    "box_ciou": ("box CIoU", "mean complete IoU of boxes, -1.5 to 1"),
    "mixed_ciou": ("mixed CIoU", "SJTU's: mask IoU less penalties of boxes; comparable with nothing else"),
}

COUNTS = {
    "n": "samples",
    "n_scored": "samples in the policy's prediction set",
    "n_no_target": "of these without a target",
    "n_hausdorff95": "of these with a Hausdorff distance",
}

OUTCOMES = {
    "found": "found something",
    "no_target": "said that there is no target",
    "malformed": "answer could not be read",
    "truncated": "answer broke off",
    "failed": "gave no answer",
}


_SAFE = str.maketrans({**{mark: f"\\{mark}" for mark in "\\|`*_[]!~"}, "<": "&lt;", ">": "&gt;", "&": "&amp;"})


AVERAGE_PRECISION = {
    "ap": "AP, mean over IoU 0.50 to 0.95",
    "ap50": "AP at IoU 0.50",
    "ap75": "AP at IoU 0.75",
    "ap_small": "AP of targets up to 32 x 32 px",
    "ap_medium": "AP of targets up to 96 x 96 px",
    "ap_large": "AP of larger targets",
    "ar1": "AR with 1 prediction a sample",
    "ar10": "AR with 10",
    "ar100": "AR with 100",
}


def precision_header(found: Precision) -> list[str]:
    """Return the heads of the table of average precision."""
    return ["", *(["masks"] if found.masks is not None else []), "boxes"]


def precision_rows(found: Precision) -> list[list[str]]:
    """Return the rows of the table of average precision; sizes that do not occur are left out."""
    columns = [each for each in (found.masks, found.boxes) if each is not None]
    return [
        [words, *(number(column[name]) for column in columns)]
        for name, words in AVERAGE_PRECISION.items()
        if any(column[name] is not None for column in columns)
    ]


def told(found: Precision) -> str:
    """Say how average precision was counted."""
    whose = "prompter" if found.ranked_by == "prompt" else "segmenter"
    return (
        f"COCO's, by faster-coco-eval, whatever the policy: {found.samples:,} samples at their own size, all of one "
        f"class, predictions ranked by the {whose}'s scores."
    )


def label(name: str, rules: Policy, unit: str = "") -> tuple[str, str]:
    """Return a statistic's name for people, with the unit of distances where it is told, and what it is."""
    if name == "hausdorff95" and unit:
        return f"{LABELS[name][0]}, {unit}", LABELS[name][1]
    if name in LABELS:
        return LABELS[name]
    kind, _, threshold = name.partition("@")
    if kind == "p":
        return f"P@{threshold}", f"share of samples with mask IoU {rules.comparison} {threshold}"
    return f"box Acc@{threshold}", f"share of samples with box IoU {rules.box_comparison} {threshold}"


def number(value: float | int | None) -> str:
    """Write a number of a table: four digits after the point, a dash for none."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def milliseconds(seconds: float) -> str:
    """Write a time in milliseconds, with as many digits as mean something."""
    value = seconds * 1000
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def trust(correlation: float | None) -> str:
    """Say how well a segmenter's own scores order its masks; "" where it has none."""
    if correlation is None:
        return ""
    return f"The segmenter's own scores and the true IoU: Spearman's rank correlation {correlation:.2f}."


def size_class(low: float, high: float) -> str:
    """Name a class of target size."""
    if high == 0:
        return "no target"
    if low == 0:
        return f"up to {_percent(high)}"
    return f"{_percent(low)} to {_percent(high)}"


def _percent(part: float) -> str:
    return f"{100 * part:g} %"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown; what could break out of a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table for a terminal: the first column to the left, the others to the right."""
    lines = [header, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(header))]
    told = []
    for first, *others in lines:
        cells = [f"{text:>{width}}" for text, width in zip(others, widths[1:], strict=True)]
        told.append("  ".join([f"{first:<{widths[0]}}", *cells]).rstrip())
    return "\n".join(f"  {line}" for line in told)


def cell(text: str) -> str:
    """Make text safe for a cell of a Markdown table: one line, no markup of its own."""
    return " ".join(str(text).split()).translate(_SAFE)


def plain(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Flatten nested settings into (key, value) texts."""
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += [(f"{key}.{name}", text) for name, text in plain(value)]
        elif value not in (None, "", [], ()):
            found.append((key, str(value)))
    return found
