"""Text2Centroid: how far from the truth readers place 222 sentences written by hand, and how fast they and PRScore are.

    python benchmarks/text2centroid.py

The sentences (tests/reasoner/data/paraphrases.tsv) are no generator's. Distances are in the unit of the centred frame,
whose diagonal is 2.83. A sentence that a reader does not understand counts as if it had said the centre.
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
from recording import median_seconds, record

from fiducial.contracts import Text2Centroid
from fiducial.geometry import Mask
from fiducial.metrics.prscore import DIAGONAL, PRCase, pr_scores
from fiducial.reasoner.sentences import SentenceEncoder
from fiducial.reasoner.text2centroid import RuleText2Centroid, open_reader

SENTENCES = Path(__file__).parents[1] / "tests" / "reasoner" / "data" / "paraphrases.tsv"
NOTHING = "nothing"
CLOSE = 0.25
"""A reading within this distance has the right part of the picture."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", default="text2centroid", help="a file that fiducial train text2centroid left")
    head = parser.parse_args().head
    encoder = SentenceEncoder()
    learned, rules = open_reader(head, encoder), RuleText2Centroid()
    rows = read_rows()
    kinds = list(dict.fromkeys(row["kind"] for row in rows if row["kind"] != NOTHING))
    readers: dict[str, Text2Centroid] = {
        "learned": learned,
        "rules": rules,
        "rules, patient's right at the picture's left": RuleText2Centroid("radiological"),
        "the centre, whatever is said": Centre(),
    }
    measured: dict[str, Any] = {
        name: {kind: errors(reader, [row for row in rows if row["kind"] == kind]) for kind in (*kinds,)}
        for name, reader in readers.items()
    }
    silent = [row["sentence"] for row in rows if row["kind"] == NOTHING]
    for name, reader in readers.items():
        measured[name]["no place: share read as none"] = float(np.isnan(reader.read(silent)[:, 0]).mean())
    texts = [f"{row['sentence']} ({number})" for number in range(5) for row in rows][:1000]
    masks = [Mask.from_box((k % 90, k % 70, k % 90 + 10, k % 70 + 20), 100, 100) for k in range(1000)]
    cases = [PRCase(text, other, mask) for text, other, mask in zip(texts, texts[::-1], masks, strict=True)]
    fresh = SentenceEncoder(cache_size=0)
    measured["seconds per 1000"] = {
        "texts read by rule": round(median_seconds(lambda: rules.read(texts), repeats=3), 3),
        "texts embedded and read": round(median_seconds(lambda: open_reader(head, fresh).read(texts), repeats=1), 2),
        "texts read, embedded before": round(median_seconds(lambda: learned.read(texts), repeats=3), 4),
        "pairs scored by PRScore, texts embedded before": round(
            median_seconds(lambda: pr_scores(cases, encoder, learned, rules), repeats=3), 3
        ),
    }
    record("text2centroid", measured, ("numpy", "torch", "transformers"))


class Centre:
    """Hears nothing: the control."""

    name = "centre"

    def read(self, texts: list[str]) -> Any:
        """Say the centre of every text."""
        return np.zeros((len(texts), 2))


def read_rows() -> list[dict[str, str]]:
    with SENTENCES.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def errors(reader: Text2Centroid, rows: list[dict[str, str]]) -> dict[str, float | int]:
    """Return what a reader makes of sentences whose place is known."""
    points = reader.read([row["sentence"] for row in rows])
    unread = np.isnan(points[:, 0])
    truth = np.array([[float(row["x"]), float(row["y"])] for row in rows])
    off = np.linalg.norm(np.nan_to_num(points) - truth, axis=1)
    nearer = np.linalg.norm(truth, axis=1) - off
    return {
        "n": len(rows),
        "unread": int(unread.sum()),
        "mean": round(float(off.mean()), 3),
        "mean, % of the diagonal": round(100 * float(off.mean()) / DIAGONAL, 1),
        "median": round(float(np.median(off)), 3),
        "mean of those read": round(float(off[~unread].mean()), 3) if not unread.all() else math.nan,
        "share within 0.25": round(float((off <= CLOSE + 1e-9).mean()), 3),
        "nearer than the centre by": round(float(nearer.mean()), 3),
        "nearer than the centre by, 95 % interval": interval(nearer),
    }


def interval(values: np.ndarray[Any, Any]) -> list[float]:
    """Return the 95 % interval of a mean over sentences, by 10,000 bootstrap draws."""
    random = np.random.default_rng(0)
    means = values[random.integers(len(values), size=(10_000, len(values)))].mean(axis=1)
    return [round(float(bound), 3) for bound in np.percentile(means, [2.5, 97.5])]


if __name__ == "__main__":
    main()
