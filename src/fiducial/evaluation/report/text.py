"""Numbers and their names as text: for pages, Markdown and terminals."""

from __future__ import annotations

from collections.abc import Sequence

from fiducial.metrics import Difference, Policy

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

CONSISTENCY = {
    "agreed": "everything that it states holds",
    "contradicted": "something that it states does not hold",
    "nothing_stated": "it states nothing that can be checked",
}

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

_SAFE = str.maketrans({**{mark: f"\\{mark}" for mark in "\\|`*_[]!~"}, "<": "&lt;", ">": "&gt;", "&": "&amp;"})


def label(name: str, rules: Policy, unit: str = "") -> tuple[str, str]:
    """Return a statistic's name for people, with the unit of distances where it is known, and what it is."""
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


def interval(pair: tuple[float, float] | None) -> str:
    """Write an interval, a dash for none."""
    return "–" if pair is None else f"{pair[0]:.3f} to {pair[1]:.3f}"


def difference(apart: Difference | None) -> str:
    """Write a difference with its interval; * marks one that does not hold 0."""
    if apart is None:
        return "–"
    sure = "*" if apart.low > 0 or apart.high < 0 else ""
    value, low, high = (f"{part:+.3f}".replace("-0.000", "+0.000") for part in (apart.value, apart.low, apart.high))
    return f"{value} ({low} to {high}){sure}"


def size_class(low: float, high: float) -> str:
    """Name a class of target size by the parts of the picture between which it lies."""
    if high == 0:
        return "no target"
    return f"{100 * low:g} % to {100 * high:g} %" if low else f"up to {100 * high:g} %"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown; what could break out of a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table for a terminal: the first column to the left, the others to the right."""
    lines = [header, *rows]
    width, *widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = (
        [f"{first:<{width}}", *(f"{text:>{most}}" for text, most in zip(others, widths, strict=True))]
        for first, *others in lines
    )
    return "\n".join("  " + "  ".join(line).rstrip() for line in shown)


def cell(text: str) -> str:
    """Make text safe for a cell of a Markdown table: one line, no markup of its own."""
    return " ".join(str(text).split()).translate(_SAFE)


def clean(text: str) -> str:
    """Show what cannot stand in a page (control characters, broken letters) as a replacement mark."""
    return "".join(
        letter if letter in "\t\n" or (ord(letter) >= 32 and not 0x7F <= ord(letter) < 0xA0) else "\ufffd"
        for letter in text.encode("utf-8", "replace").decode("utf-8")
    )
