"""Score a grounder on pictures that it was not trained on, as Markdown: by name, by size, by unseen words.

Intervals are 95 % bootstrap intervals over whole pictures, seed 0.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import numpy as np

from fiducial.prompters.grounder.detecting import NanoDetector
from fiducial.prompters.grounder.vocabulary import Vocabulary
from fiducial.prompters.grounder.weights import EMBEDDED, Grounder, load_grounder
from fiducial.prompters.grounder.words import phrase_vectors
from fiducial.training.configs import GrounderConfig
from fiducial.training.grounder_data import Store, read_store
from fiducial.training.grounder_scoring import (
    Finding,
    area_under_curve,
    by_name,
    findings_of,
    first_found,
    matches_of,
    mean_precision,
    precision,
)
from fiducial.training.recipes import load_config

RESAMPLES = 100
SIZES = {"below 32": (0.0, 32.0), "32 to 96": (32.0, 96.0), "above 96": (96.0, float("inf"))}
"""Square root of a box's area in pixels."""


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that DATA stands for")
    parser.add_argument("--config", default=EMBEDDED, help="the configuration of the run: names the data and its cut")
    parser.add_argument("--weights", default=EMBEDDED, help="those of the package, or a safetensors file")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    config = load_config(GrounderConfig, arguments.config)
    grounder = load_grounder(arguments.weights)
    for source in config.data:
        store = read_store(source, arguments.data, Vocabulary.read().names)
        if store.held_out:
            report(store, grounder)


def report(store: Store, grounder: Grounder) -> None:
    """Print what is known of one dataset."""
    findings = findings_of(NanoDetector(grounder, threshold=0.0, flips=True), store.held_out)
    thresholds = {name.name: name.threshold for name in grounder.names}
    there = np.array([len(one.truth) for one in findings])
    print(f"\n### {store.source.title}: {len(store.held_out)} pictures, {there.sum()} things\n")
    print("| measure | value | 95 % interval |\n|---|---|---|")
    measures: list[tuple[str, Callable[[Sequence[Finding]], float | None]]] = [
        ("AP50, mean over names", mean_precision),
        ("AP75, mean over names", lambda some: mean_precision(some, 0.75)),
        *[(f"AP50, {size} px", lambda some, size=size: sized(some, SIZES[size])) for size in SIZES],
        ("the only thing of its name: best box has an IoU of 0.5", first_found),
        ("false alarms: not there, but found (the name's own threshold)", lambda some: alarms(some, thresholds)),
        ("missed: there, but nothing found", lambda some: misses(some, thresholds)),
    ]
    for title, measure in measures:
        value = measure(findings)
        if value is not None:
            low, high = interval(findings, len(store.names), measure)
            print(f"| {title} | {value:.3f} | {low:.2f} to {high:.2f} |")
    known = area_under_curve(np.array([one.best for one in findings]), there > 0)
    print(f"| is the name in the picture: area under the curve | {shown(known, 3)} | |")
    if len(store.names) > 1:
        print("\n| name | things | AP50 | AP75 |\n|---|---|---|---|")
        for name, some in by_name(findings).items():
            fifty, strict = matches_of(some), matches_of(some, 0.75)
            print(f"| {name} | {fifty.things} | {shown(precision(fifty))} | {shown(precision(strict))} |")
    unseen(store, grounder)


def unseen(store: Store, grounder: Grounder) -> None:
    """Print AP50 when the network is asked by words that neither it nor the reader of nouns was taught."""
    words = {name: Vocabulary.read().entry(name).unseen for name in store.names}
    print("\n| name | asked by words that were never trained with: AP50 |\n|---|---|")
    found: dict[str, list[tuple[str, float]]] = {name: [] for name in words}
    for round_ in zip_longest(*words.values()):
        vectors = grounder.vectors.copy()
        for name, word in zip(words, round_, strict=True):
            if word is not None:
                vectors[grounder.vocabulary.index(name)] = phrase_vectors([word])[0]
        asked = NanoDetector(replace(grounder, vectors=vectors), threshold=0.0, flips=True)
        named = by_name(findings_of(asked, store.held_out))
        for name, word in zip(words, round_, strict=True):
            if word is not None:
                found[name].append((word, precision(matches_of(named[name])) or 0.0))
    for name, values in found.items():
        print(f"| {name} | {', '.join(f'{word} {value:.2f}' for word, value in values)} |")
    means = [float(np.mean([value for _, value in values])) for values in found.values() if values]
    print(f"| **mean over names** | **{np.mean(means):.3f}** |")


def sized(findings: Sequence[Finding], size: tuple[float, float]) -> float | None:
    """Return AP50 of things of some size, the mean over names that have any."""
    values = [precision(matches_of(some, 0.5, size)) for some in by_name(findings).values()]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def alarms(findings: Sequence[Finding], thresholds: dict[str, float]) -> float | None:
    """Return how often something is found of a name that is not in the picture."""
    some = [one.best >= thresholds[one.name] for one in findings if not len(one.truth)]
    return float(np.mean(some)) if some else None


def misses(findings: Sequence[Finding], thresholds: dict[str, float]) -> float | None:
    """Return how often nothing is found of a name that is in the picture."""
    some = [one.best < thresholds[one.name] for one in findings if len(one.truth)]
    return float(np.mean(some)) if some else None


def interval(
    findings: Sequence[Finding], names: int, measure: Callable[[Sequence[Finding]], float | None]
) -> tuple[float, float]:
    """Bootstrap a measure over whole pictures; findings come picture by picture, ``names`` of each."""
    random = np.random.default_rng(0)
    pictures = len(findings) // names
    values = []
    for _ in range(RESAMPLES):
        drawn = random.integers(pictures, size=pictures)
        value = measure([findings[number * names + place] for number in drawn for place in range(names)])
        if value is not None:
            values.append(value)
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def shown(value: float | None, digits: int = 2) -> str:
    """Return a number for a table."""
    return "–" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
