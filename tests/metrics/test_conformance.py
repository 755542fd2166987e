from __future__ import annotations

from pathlib import Path

import pytest

from fiducial.metrics import POLICIES, Totals
from metrics.policy_page import CASES, policy_page

PAGE = Path(__file__).parents[2] / "docs" / "policies.md"
NAMES = ("fiducial", "lisa", "rmsin", "think2seg", "visionreasoner", "sjtu", "prs-med", "grefcoco")

# Worked out by hand from each paper's script, before the code: IoU per case, policies in the order of NAMES.
# x: not in the prediction set that the policy scores.
IOU = """
1   1   1   1   1   1   1   1    perfect
1/2 1/2 1/2 1/2 1/2 1/2 1/2 1/2  left half found: IoU exactly 0.5
1/3 1/3 1/3 1/3 1/3 1/3 1/3 1/3  half beside the target: IoU 1/3
0   0   0   0   0   0   0   0    wrong place
0   0   0   0   0   0   0   0    target there, found, but the mask is empty
0   0   0   0   0   x   0   0    target there, answer "no target"
0   0   0   0   0   x   0   0    target there, answer malformed
0   0   0   0   0   x   0   0    target there, answer missing
1   1   0   1   1   x   0   1    no target, answer "no target"
0   0   0   0   0   0   0   0    no target, something found
1   1   0   0   0   0   0   0    no target, found, but the mask is empty
0   1   0   0   1   x   0   0    no target, answer malformed
0   1   0   0   1   x   0   0    no target, answer missing
1   1   1   1   1   1   1   1    answer cut off after one whole item, perfect
0   0   0   0   0   x   0   0    answer cut off before the first whole item
1   1   1   1   1/2 1   1   1    perfect, beside as much ignored
1   1   1   1   3/4 1   1   1    perfect, but spilt over what is ignored
1   1   0   1   1   0   1   1    one pixel of 2048 x 2048, perfect
"""

# Likewise whether P@0.5 counts it: h hit, m miss, - not in the denominator, x not in the prediction set.
PRECISION = """
h h h h h h h h  perfect
h h h h h h h h  left half found: IoU exactly 0.5
m m m m m m m m  half beside the target: IoU 1/3
m m m m m m m m  wrong place
m m m m m m m m  target there, found, but the mask is empty
m m m - m x m m  target there, answer "no target"
m m m - m x m m  target there, answer malformed
m m m - m x m m  target there, answer missing
h h m h h x m -  no target, answer "no target"
m m m m m m m -  no target, something found
h h m m m m m -  no target, found, but the mask is empty
m h m - h x m -  no target, answer malformed
m h m - h x m -  no target, answer missing
h h h h h h h h  answer cut off after one whole item, perfect
m m m - m x m m  answer cut off before the first whole item
h h h h h h h h  perfect, beside as much ignored
h h h h h h h h  perfect, but spilt over what is ignored
h h m h h m h h  one pixel of 2048 x 2048, perfect
"""

# Likewise what it adds to cumulative IoU, in units of the truth's 16 pixels: intersection/union.
CUMULATIVE = """
1/1   1/1   1/1   1/1   1/1   1/1   1/1   1/1    perfect
.5/1  .5/1  .5/1  .5/1  .5/1  .5/1  .5/1  .5/1   left half found: IoU exactly 0.5
.5/1.5 .5/1.5 .5/1.5 .5/1.5 .5/1.5 .5/1.5 .5/1.5 .5/1.5  half beside the target: IoU 1/3
0/2   0/2   0/2   0/2   0/2   0/2   0/2   0/2    wrong place
0/1   0/1   0/1   0/1   0/1   0/1   0/1   0/1    target there, found, but the mask is empty
0/1   0/1   0/1   0/1   0/1   x     0/1   0/1    target there, answer "no target"
0/1   0/1   0/1   0/1   0/1   x     0/1   0/1    target there, answer malformed
0/1   0/1   0/1   0/1   0/1   x     0/1   0/1    target there, answer missing
0/0   0/0   0/0   0/0   0/0   x     0/0   0/0    no target, answer "no target"
0/1   0/1   0/1   0/0   0/1   0/1   0/1   0/1    no target, something found
0/0   0/0   0/0   0/0   0/0   0/0   0/0   0/0    no target, found, but the mask is empty
0/0   0/0   0/0   0/0   0/0   x     0/0   0/0    no target, answer malformed
0/0   0/0   0/0   0/0   0/0   x     0/0   0/0    no target, answer missing
1/1   1/1   1/1   1/1   1/1   1/1   1/1   1/1    answer cut off after one whole item, perfect
0/1   0/1   0/1   0/1   0/1   x     0/1   0/1    answer cut off before the first whole item
1/1   1/1   1/1   1/1   1/2   1/1   1/1   1/1    perfect, beside as much ignored
1/1   1/1   1/1   1/1   1.5/2 1/1   1/1   1/1    perfect, but spilt over what is ignored
"""

# Likewise whether the answer is right about there being a target; policies whose source counts that.
PRESENCE = {
    "fiducial": "r r r r w w w w r w r w w r w r r r",
    "visionreasoner": "r r r r r w w w r w w r r r w r r r",
    "grefcoco": "r r r r r w w w r w w w w r w r r r",
}
CASE = {case.name: case for case in CASES}


every_policy = pytest.mark.parametrize("policy", NAMES)


def column(table, policy):
    """Yield the case, its score by a policy, and the cell."""
    for line in table.strip().splitlines():
        *row, name = line.split(maxsplit=len(NAMES))
        yield CASE[name], CASE[name].score(POLICIES[policy]), row[NAMES.index(policy)]


def test_the_tables_here_hold_every_case_and_every_policy():
    assert tuple(POLICIES) == NAMES
    for table in (IOU, PRECISION):
        assert [case for case, _, _ in column(table, "fiducial")] == list(CASES)
    assert [case for case, _, _ in column(CUMULATIVE, "fiducial")] == list(CASES[:-1])


@every_policy
def test_iou_is_what_was_worked_out_by_hand(policy):
    for case, score, cell in column(IOU, policy):
        assert score.counted == (cell != "x"), case.name
        if cell != "x":
            above, _, below = cell.partition("/")
            assert score.iou == int(above) / int(below or 1), case.name


@every_policy
def test_precision_is_what_was_worked_out_by_hand(policy):
    for case, score, cell in column(PRECISION, policy):
        report = Totals(POLICIES[policy]).extend([score]).report()
        assert report["p@0.5"] == {"h": 1.0, "m": 0.0, "-": None, "x": None}[cell], case.name


@every_policy
def test_cumulative_iou_is_what_was_worked_out_by_hand(policy):
    resize = POLICIES[policy].resize
    unit = 16 if resize is None or resize.size is None else 16 * resize.size[0] ** 2 // 64
    for case, score, cell in column(CUMULATIVE, policy):
        assert score.counted == (cell != "x"), case.name
        if cell != "x":
            above, below = (float(part) * unit for part in cell.split("/"))
            assert (score.cum_intersection, score.cum_union) == (above, below), case.name


@pytest.mark.parametrize("policy", PRESENCE)
def test_presence_is_what_was_worked_out_by_hand(policy):
    found = ["r" if case.score(POLICIES[policy]).presence_right else "w" for case in CASES]
    assert found == PRESENCE[policy].split()


def test_the_page_in_the_docs_is_what_the_code_says():
    assert PAGE.read_text() == policy_page(), "run: python tests/metrics/policy_page.py > docs/policies.md"


def test_the_page_can_be_made_for_other_policies():
    page = policy_page([POLICIES["lisa"]])
    assert "| case | `lisa` |" in page
    assert "`sjtu`" not in page
