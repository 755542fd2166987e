"""The conformance table: what each policy makes of one set of hand-made cases.

``python tests/metrics/policy_page.py`` prints the page ``docs/policies.md``; a test holds the page to the code, and
the code to values worked out by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fiducial.geometry import Mask
from fiducial.language import Outcome
from fiducial.metrics import POLICIES, Policy, SampleScore, Totals, score_sample

SIDE = 8  # 480, 512 and 840 are whole multiples, so resizing changes no ratio


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One hand-made sample.

    Args:
        name: what it shows.
        truth: the true mask.
        prediction: the predicted mask, or None when there is none.
        outcome: how asking ended.
        ignore: pixels to ignore.
    """

    name: str
    truth: Mask
    prediction: Mask | None
    outcome: Outcome
    ignore: Mask | None = None

    def score(self, policy: Policy) -> SampleScore:
        """Count the case by a policy."""
        return score_sample(policy, self.truth, self.prediction, self.outcome, ignore=self.ignore)


def _square(left: int, top: int, right: int, bottom: int, side: int = SIDE) -> Mask:
    return Mask.from_box((left, top, right, bottom), side, side)


_NOTHING = Mask.empty(SIDE, SIDE)
_TARGET = _square(2, 2, 6, 6)
_SPECK = _square(1, 1, 2, 2, 2048)

CASES: tuple[Case, ...] = (
    Case("perfect", _TARGET, _TARGET, Outcome.FOUND),
    Case("left half found: IoU exactly 0.5", _TARGET, _square(2, 2, 4, 6), Outcome.FOUND),
    Case("half beside the target: IoU 1/3", _TARGET, _square(4, 2, 8, 6), Outcome.FOUND),
    Case("wrong place", _TARGET, _square(0, 0, 8, 2), Outcome.FOUND),
    Case("target there, found, but the mask is empty", _TARGET, _NOTHING, Outcome.FOUND),
    Case('target there, answer "no target"', _TARGET, None, Outcome.NO_TARGET),
    Case("target there, answer malformed", _TARGET, None, Outcome.MALFORMED),
    Case("target there, answer missing", _TARGET, None, Outcome.FAILED),
    Case('no target, answer "no target"', _NOTHING, None, Outcome.NO_TARGET),
    Case("no target, something found", _NOTHING, _TARGET, Outcome.FOUND),
    Case("no target, found, but the mask is empty", _NOTHING, _NOTHING, Outcome.FOUND),
    Case("no target, answer malformed", _NOTHING, None, Outcome.MALFORMED),
    Case("no target, answer missing", _NOTHING, None, Outcome.FAILED),
    Case("answer cut off after one whole item, perfect", _TARGET, _TARGET, Outcome.TRUNCATED),
    Case("answer cut off before the first whole item", _TARGET, None, Outcome.TRUNCATED),
    Case("perfect, beside as much ignored", _TARGET, _TARGET, Outcome.FOUND, _square(0, 0, 8, 2)),
    Case("perfect, but spilt over what is ignored", _TARGET, _square(2, 2, 6, 8), Outcome.FOUND, _square(0, 6, 8, 8)),
    Case("one pixel of 2048 x 2048, perfect", _SPECK, _SPECK, Outcome.FOUND),
)
"""The cases, on 8 x 8 pixels but for the last; the target is a square of 16 pixels in the middle."""


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")


def _iou_cell(_: Policy, score: SampleScore) -> str:
    return _number(score.iou) if score.counted else "left out"


def _cumulative_cell(_: Policy, score: SampleScore) -> str:
    return f"{score.cum_intersection} / {score.cum_union}" if score.counted else "left out"


def _precision_cell(policy: Policy, score: SampleScore) -> str:
    if not score.counted:
        return "left out"
    if not score.in_precision or score.iou is None:
        return "not in it"
    return "hit" if policy.passes(score.iou, 0.5) else "miss"


def _presence_cell(_: Policy, score: SampleScore) -> str:
    if not score.counted:
        return "left out"
    return f"{'T' if score.has_target else 'N'} {'right' if score.presence_right else 'wrong'}"


Cell = Callable[[Policy, SampleScore], str]


def policy_page(policies: Iterable[Policy] = POLICIES.values()) -> str:
    """Write the page: rules and sources, then the cases under each policy, as Markdown."""
    rules = tuple(policies)
    heads = [f"`{each.name}`" for each in rules]

    def cases(cell: Cell, only: Sequence[Case] = CASES) -> str:
        return _table(["case", *heads], [[case.name, *(cell(p, case.score(p)) for p in rules)] for case in only])

    parts = [
        _HEAD,
        "## The rules\n",
        _table(["rule", *heads], _rule_rows(rules)),
        "\nWhat each field means is told in `fiducial.metrics.Policy`.\n",
        "### Where they were read, and what they print\n",
        _sources(rules),
        "\n## The cases\n",
        _CASES_HEAD,
        "### IoU of the sample\n",
        cases(_iou_cell),
        "\n### What it adds to cumulative IoU (intersection / union, in pixels of the scored canvas)\n",
        cases(_cumulative_cell),
        "\n### P@0.5\n",
        cases(_precision_cell),
        "\n### Is there a target? (N-acc over N, T-acc over T)\n",
        cases(_presence_cell),
        "\n## All cases but the last together\n",
        _table(["statistic", *heads], _total_rows(rules)),
        _BESIDE,
    ]
    return "\n".join(parts) + "\n"


_HEAD = """# Policies

Made by `python tests/metrics/policy_page.py`; do not edit.

The same masks give different numbers in different papers, because papers treat the hard cases differently: a truth that
is empty, an answer that says nothing, an answer that nobody could read. A policy names one set of choices. Two numbers
can be compared when they were counted by one policy.
"""

_BESIDE = """
## Distances and instances

**Boundary F and Hausdorff 95** (`--boundaries`) are measured between outlines on the canvas that the policy scores.
Hausdorff 95 is the larger of the two directed 95th percentiles, from pixel centre to pixel centre; samples of which one
mask is empty have none, and `n_hausdorff95` says how many have one. It is in millimetres where the dataset knows the
size of its pixels, else in pixels of the original image, and `hausdorff95_unit` says which ("mm and px" where a dataset
knows it of some samples only: such a mean is of no use). A dataset tells the size by `spacing` in a sample's `meta`,
height and width of a pixel: a field of the table of a plain folder. `fiducial score` takes `--spacing H,W`.

**Average precision** (`average_precision` in `summary.json`) is COCO's, and the same under every policy: every sample
counts as a picture of its own at its own size, all instances are of one class, ignored pixels are a crowd. Predictions
are ranked by the prompter's scores where it gives any, else by the segmenter's; where nobody gives scores there is
none, and the report says so.
"""

_CASES_HEAD = """The target is a square of 16 pixels on a canvas of 8 x 8; 480, 512 and 840 are whole multiples of 8,
so that resizing changes no ratio here. In the last case it does: the pixel in row 1, column 1 of 2048 x 2048 is taken
by neither 480 nor 512 rows, and truth and prediction both vanish. "Left out" means that the policy's prediction set
does not hold the sample.
"""


def _rule_rows(policies: Sequence[Policy]) -> list[list[str]]:
    def resize(each: Policy) -> str:
        if each.resize is None:
            return "original size"
        size = "the truth's size" if each.resize.size is None else f"{each.resize.size[0]} x {each.resize.size[1]}"
        return f"{size}, {each.resize.rule} nearest"

    rows: list[tuple[str, Callable[[Policy], str]]] = [
        ("empty truth, empty prediction is right by", lambda p: p.empty_truth),
        ("unread answer counts as", lambda p: p.unread),
        ("outcomes left out", lambda p: ", ".join(outcome.value for outcome in p.unscored) or "none"),
        ("false-positive area on an empty truth", lambda p: "counted" if p.false_positive_area else "not counted"),
        ("P@t: IoU", lambda p: f"{p.comparison} t"),
        ("P@t divided by", lambda p: p.precision_over),
        ("ignored pixels", lambda p: p.ignored_pixels),
        ("masks compared at", resize),
        ("no target read off", lambda p: p.no_target_by),
        ("boxes", lambda p: p.box_rule),
        ("Acc@t: box IoU", lambda p: f"{p.box_comparison} t"),
    ]
    return [[name, *(cell(each) for each in policies)] for name, cell in rows]


def _sources(policies: Sequence[Policy]) -> str:
    printed = [", ".join(f"`{name}`" for name in each.reports) or "everything" for each in policies]
    return _table(
        ["policy", "in short", "read in", "the source prints"],
        [[f"`{p.name}`", p.summary, p.source, names] for p, names in zip(policies, printed, strict=True)],
    )


def _total_rows(policies: Sequence[Policy]) -> list[list[str]]:
    # The speck would weigh next to nothing in pixels at one size and much at another.
    small = CASES[:-1]
    reports = [Totals(each).extend(case.score(each) for case in small).report() for each in policies]
    names = ["n", "n_scored", "mean_iou", "cum_iou", "p@0.5", "p@0.9", "dice", "n_acc", "t_acc"]
    names += ["box_iou", "box_giou", "box_ciou", "box_acc@0.5", "mixed_ciou"]
    return [[f"`{name}`", *(_number(report[name]) for report in reports)] for name in names]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(policy_page())
