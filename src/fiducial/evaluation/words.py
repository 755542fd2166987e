"""Scoring the texts of answers that were made elsewhere, beside their masks, by PRScore."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from fiducial.contracts import SentenceEmbedder, Text2Centroid
from fiducial.errors import InputError
from fiducial.evaluation.scoring import read_sides
from fiducial.files import read_json_lines
from fiducial.metrics.prscore import PRCase, PRScore, pr_scores

_SHOWN = 5


def score_texts(
    predictions: str | Path,
    truth: str | Path,
    texts: str | Path,
    references: str | Path,
    *,
    embedder: SentenceEmbedder,
    reader: Text2Centroid,
    rules: Text2Centroid,
) -> dict[str, PRScore]:
    """Score the texts of answers against reference texts and the predicted masks.

    Args:
        predictions: COCO JSON or a folder of masks: see :func:`fiducial.evaluation.scoring.score_predictions`.
        truth: so too; says which samples there are, and which have a target.
        texts: JSON Lines with a sample's ``id`` (or its ``image``, whose name without suffix is taken) and its
            ``text``: what ``fiducial segment --json`` prints, and the records of a run. A sample without a line has a
            blank text.
        references: JSON Lines with ``id`` or ``image`` and the true sentence as ``answer`` (or ``text``), for each
            sample with a target.
        embedder: sentence embeddings for S_sem.
        reader: what PRScore is computed by.
        rules: the second opinion.

    Returns:
        Scores by the sample's name, in the order of the truth.

    Raises:
        InputError: files that cannot be read, texts of other samples, or a sample with a target and no reference.
    """
    true, predicted = read_sides(predictions, truth)
    said = read_texts(texts, ("text", "answer"), true.entries)
    if not said:
        raise InputError(f"{texts}: holds no texts: give a line with id and text for each answer")
    meant = read_texts(references, ("answer", "text"), true.entries)
    targets = {name: bool(entry.mask or entry.boxes) for name, entry in true.entries.items()}
    if missing := [name for name, there in targets.items() if there and name not in meant]:
        raise InputError(f"{references}: {len(missing)} samples with a target have no text: {_some(missing)}")
    cases = [
        PRCase(
            predicted=said.get(name, ""),
            reference=meant.get(name, ""),
            mask=predicted.entries[name].mask if name in predicted.entries else None,
            has_target=targets[name],
        )
        for name in true.entries
    ]
    return dict(zip(true.entries, pr_scores(cases, embedder, reader, rules), strict=True))


def read_texts(path: str | Path, keys: Sequence[str], names: Iterable[str]) -> dict[str, str]:
    """Read a text for each sample from JSON Lines; of the keys the first that a line has is taken.

    Raises:
        InputError: the file or a line cannot be read, a sample stands there twice, or is none of the names.
    """
    known, found = set(names), dict[str, str]()
    for number, line in read_json_lines(Path(path)):
        where = f"{path}, line {number}"
        name = line.get("id")
        if name is None and isinstance(line.get("image"), str):
            name = Path(line["image"]).stem
        text = next((line[key] for key in keys if key in line), None)
        if not isinstance(name, (str, int)) or not isinstance(text, str):
            raise InputError(f"{where}: needs an id (or image) and a text under {' or '.join(map(repr, keys))}")
        if str(name) in found:
            raise InputError(f"{where}: sample {name} has a text already")
        found[str(name)] = text
    if extra := [name for name in found if name not in known]:
        raise InputError(f"{path}: {len(extra)} texts are of samples that the truth does not have: {_some(extra)}")
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
