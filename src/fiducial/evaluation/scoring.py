"""Scoring predictions that were made elsewhere: COCO JSON, or folders of mask PNGs with the same names."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from fiducial.datasets.coco import Annotation, AnnotationFile, decode, warn
from fiducial.datasets.files import read_values
from fiducial.errors import GeometryError, InputError
from fiducial.files import write_atomically
from fiducial.geometry import Box, Mask
from fiducial.language import Outcome
from fiducial.metrics import Policy, SampleScore, Totals, policy, score_sample
from fiducial.metrics.boundaries import Spacing
from fiducial.metrics.prscore import PRScore
from fiducial.metrics.prscore import report as prscore_report

INSTRUCTION = "instruction_id"
"""Key of an annotation that names the instruction it belongs to, where a picture has several."""

_FILES = "file name"

MASK_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp"})

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """What is predicted, or true, for one sample.

    Args:
        size: height, width of the picture in pixels; None where nothing tells it.
        masks: each mask.
        boxes: x1, y1, x2, y2 in pixels where there are boxes and no masks.
        outcome: how asking ended, where the file tells; None: it follows from what there is.
        ignore: pixels that count for nothing (crowds of COCO).
    """

    size: tuple[int, int] | None
    masks: tuple[Mask, ...] = ()
    boxes: tuple[Box, ...] = ()
    outcome: Outcome | None = None
    ignore: Mask | None = None

    @property
    def mask(self) -> Mask | None:
        """The union of the masks; None where there is none."""
        return self.masks[0].union(*self.masks[1:]) if self.masks else None


Sizes = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Side:
    """Predictions, or the truth.

    Entries are by sample: the instruction's id where there is one, else the image's id, or a mask file's name without
    its suffix (``by`` says which). Sizes are height, width by image id, names the picture files by image id (as far as
    they are told), and pictures the image ids by sample.
    """

    entries: Mapping[str, Entry]
    sizes: Sizes
    by: str
    names: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, str] = field(default_factory=dict)


_MISSING = Entry(None, outcome=Outcome.FAILED)


@dataclass(frozen=True)
class Scores:
    """How predictions fared: the score of each sample of the truth by its name, counted by a policy.

    ``prscores`` are those of the texts beside the masks, where there are any (:mod:`fiducial.evaluation.words`).
    """

    policy: Policy
    samples: dict[str, SampleScore]
    prscores: Mapping[str, PRScore] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return policy, counts, statistics and outcomes as plain values."""
        totals = Totals(self.policy).extend(self.samples.values())
        words = {"prscore": prscore_report(self.prscores.values())} if self.prscores else {}
        return {"policy": self.policy.name, **totals.report(), **words, "outcomes": totals.outcomes}

    def write(self, path: Path) -> Path:
        """Write one JSON line per sample."""
        lines = []
        for name, score in self.samples.items():
            words = {"prscore": self.prscores[name].as_json()} if name in self.prscores else {}
            lines.append(json.dumps({"id": name, **score.as_json(), **words}))
        return write_atomically(path, "".join(f"{line}\n" for line in lines))


def score_predictions(
    predictions: str | Path,
    truth: str | Path,
    policy_name: str = "fiducial",
    *,
    boundaries: bool = False,
    spacing: Spacing = (1.0, 1.0),
    on_sample: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score predictions against the truth.

    Both are COCO JSON or folders of mask pictures. Annotations are united per ``instruction_id`` where they have one,
    else per ``image_id``. Where both sides tell the names of the picture files, pictures meet by these, whatever their
    ids (with their folders, else without, else without the suffix too), and by id where not. A sample of the truth
    without an annotation has no target. Of the predictions, a sample that is not there at all is missing (outcome
    ``failed``); one that is listed without an annotation, or whose mask has no pixel, says that there is no target; an
    annotation may say otherwise under ``outcome``.

    ``boundaries`` also measures boundary F-score and Hausdorff 95, which has the unit of ``spacing``: height, width of
    a pixel of every picture (default: pixels). ``on_sample`` is called after every sample with how many are done, and
    of how many.

    Raises:
        InputError: predictions for samples that the truth does not have, file names that contradict the ids, or masks
            that do not fit each other.
    """
    rules = policy(policy_name)
    true, predicted = read_sides(predictions, truth)
    samples = {}
    for done, (name, entry) in enumerate(true.entries.items(), start=1):
        found = predicted.entries.get(name, _MISSING)
        samples[name] = _score(rules, name, entry, found, spacing if boundaries else None)
        if on_sample is not None:
            on_sample(done, len(true.entries))
    return Scores(rules, samples)


def read_sides(predictions: str | Path, truth: str | Path) -> tuple[Side, Side]:
    """Read the truth and the predictions; see :func:`score_predictions`.

    Raises:
        InputError: a file that cannot be read, no truth, or predictions for samples that the truth does not have.
    """
    true = _read(Path(truth), {})
    if not true.entries:
        raise InputError(f"{truth}: holds no sample")
    predicted = _paired(_read(Path(predictions), true.sizes), true, f"{predictions} and {truth}")
    extra = sorted(set(predicted.entries) - set(true.entries))
    if extra:
        more = f" and {len(extra) - _SHOWN} more" if len(extra) > _SHOWN else ""
        by = f" ({predicted.by} there, {true.by} here)" if predicted.by != true.by else ""
        found = f"{len(extra)} of {len(predicted.entries)} samples are not in {truth}{by}"
        raise InputError(f"{predictions}: {found}: {', '.join(extra[:_SHOWN])}{more}")
    return true, predicted


def _paired(predicted: Side, true: Side, where: str) -> Side:
    """Give predictions the ids of the truth, by the names of the picture files where both sides tell them."""
    if not predicted.names or not true.names or predicted.by == true.by == _FILES:
        return predicted
    ids = _ids_by_name(predicted.names, true.names)
    if ids is None:
        odd = next((key for key in predicted.names if not _alike(predicted.names[key], true.names.get(key, ""))), None)
        if odd is None:
            return predicted
        raise InputError(
            f"{where}: image {odd} is {predicted.names[odd]!r} there and {true.names.get(odd, 'not listed')!r} here, "
            "and the names do not tell which picture is which: give both the same names, or leave file_name out of one"
        )
    for sample, picture in predicted.pictures.items():
        if picture not in predicted.names:
            raise InputError(f"{where}: a prediction is for image {picture}, which is not listed with the others")
        if predicted.by == true.by == INSTRUCTION and true.pictures.get(sample) not in (None, ids.get(picture)):
            raise InputError(
                f"{where}: the instruction {sample} is about {predicted.names[picture]!r} there, "
                f"about {true.names.get(true.pictures[sample], true.pictures[sample])!r} here"
            )
    if predicted.by == INSTRUCTION:
        return predicted
    lost = [name for key, name in predicted.names.items() if key in predicted.entries and key not in ids]
    if lost:
        more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
        found = f"{len(lost)} of {len(predicted.names)} pictures of the predictions are not in the truth"
        raise InputError(f"{where}: {found}: {', '.join(lost[:_SHOWN])}{more}")
    return replace(predicted, entries={ids[key]: entry for key, entry in predicted.entries.items()})


def _ids_by_name(predicted: Mapping[str, str], true: Mapping[str, str]) -> dict[str, str] | None:
    """Return the true image id by the predicted one, by the form of the names that pairs most; None where none does."""
    best: dict[str, str] = {}
    for form in (str, lambda name: PurePosixPath(name).name, lambda name: PurePosixPath(name).stem):
        there = {form(_posix(name)): key for key, name in predicted.items()}
        here = {form(_posix(name)): key for key, name in true.items()}
        if len(there) == len(predicted) and len(here) == len(true):  # else one name stands for several pictures
            pairs = {key: here[name] for name, key in there.items() if name in here}
            best = pairs if len(pairs) > len(best) else best
    return best or None


def _alike(one: str, other: str) -> bool:
    return PurePosixPath(_posix(one)).stem == PurePosixPath(_posix(other)).stem


def _posix(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _score(rules: Policy, name: str, true: Entry, predicted: Entry, spacing: Spacing | None) -> SampleScore:
    found = predicted.mask or predicted.boxes
    outcome = predicted.outcome or (Outcome.FOUND if found else Outcome.NO_TARGET)
    usable = outcome in (Outcome.FOUND, Outcome.TRUNCATED)
    if not usable and found:
        raise InputError(f"sample {name}: its outcome is {outcome.value}, but something is predicted")
    true_mask = true.mask
    if true_mask is None and not true.boxes:  # there is no target
        if true.size is None:
            raise InputError(f"sample {name}: the truth tells neither a target nor the size of its picture")
        true_mask = Mask.empty(*true.size)
    try:
        return score_sample(
            rules,
            true_mask,
            predicted.mask,
            outcome,
            ignore=true.ignore,
            truth_boxes=_boxes(true.masks) or true.boxes,
            predicted_boxes=(_boxes(predicted.masks) or predicted.boxes or None) if usable else None,
            boundaries=spacing is not None,
            spacing=spacing or (1.0, 1.0),
        )
    except GeometryError as error:
        raise InputError(f"sample {name}: {error}") from None


def _boxes(masks: Iterable[Mask]) -> tuple[Box, ...]:
    return tuple(mask.box for mask in masks if mask.box is not None)


# -- reading ------------------------------------------------------------------------------------------


def _read(path: Path, sizes: Sizes) -> Side:
    """Read a folder of masks or a COCO JSON file; sizes by image id are for polygons in a list of results."""
    return _read_folder(path) if path.is_dir() else _read_coco(path, sizes)


def _read_folder(folder: Path) -> Side:
    """Read a folder of masks, one picture per sample; what is not zero is on the mask."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in MASK_SUFFIXES)
    if not files:
        raise InputError(f"{folder}: holds no mask pictures ({', '.join(sorted(MASK_SUFFIXES))})")
    found: dict[str, Entry] = {}
    for path in files:
        if path.stem in found:
            raise InputError(f"{folder}: two masks are called {path.stem}")
        mask = Mask.from_dense(read_values(path) != 0)
        found[path.stem] = Entry((mask.height, mask.width), (mask,))
    names = {path.stem: path.name for path in files}
    return Side(found, {}, _FILES, names, {name: name for name in names})


def _read_coco(path: Path, sizes: Sizes) -> Side:
    """Read COCO instances, or the list of annotations that result files are; unite them per instruction, or image."""
    file = AnnotationFile(path, results=True)
    known = {str(number): image.size for number, image in file.images.items()}
    names = {str(number): image.file_name for number, image in file.images.items() if image.file_name}
    sizes = {**sizes, **known}
    named = any(one.instruction_id is not None for one in file.annotations.values())
    found = {} if named or file.instructions else {name: Entry(size) for name, size in known.items()}
    pictures = {name: name for name in found}
    for place, one in enumerate(file.instructions):  # through these a sample without an annotation is known
        if not isinstance(one, Annotation) or str(one.image_id) not in known:
            raise InputError(f"{path}, instructions[{place}]: needs an id and the image_id of a listed image")
        found[str(one.id)] = Entry(known[str(one.image_id)])
        pictures[str(one.id)] = str(one.image_id)
    for place, one in file.annotations.items():
        where = f"{path}, annotations[{place}]"
        if named and one.instruction_id is None:
            raise InputError(f"{where}: has no {INSTRUCTION}, which others here have")
        name, size = str(one.instruction_id if named else one.image_id), sizes.get(str(one.image_id))
        if pictures.get(name, str(one.image_id)) != str(one.image_id):
            raise InputError(f"{where}: {INSTRUCTION} {name} is about another picture elsewhere in the file")
        pictures[name] = str(one.image_id)
        try:
            found[name] = _joined(found.get(name, Entry(size)), one, size, where)
        except (GeometryError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: {error}") from None
    whole = {name: _without_boxes(entry, f"{path}: sample {name}") for name, entry in found.items()}
    by = INSTRUCTION if named or file.instructions else "image_id"
    return Side(whole, sizes, by, names if len(names) == len(known) else {}, pictures)


def _without_boxes(entry: Entry, where: str) -> Entry:
    """Where some instances have masks, the boxes of the others count as theirs, whichever comes first."""
    if not entry.masks or not entry.boxes:
        return entry
    warn(f"{where}: {len(entry.boxes)} instances have a box alone, others a segmentation: their box is their mask")
    size = entry.masks[0].height, entry.masks[0].width
    return replace(entry, masks=(*entry.masks, *(Mask.from_box(box, *size) for box in entry.boxes)), boxes=())


def _joined(entry: Entry, one: Annotation, size: tuple[int, int] | None, where: str) -> Entry:
    if one.outcome is not None:
        if one.outcome not in list(Outcome):
            raise ValueError(f"its outcome is one of {', '.join(Outcome)}, got {one.outcome!r}")
        entry = replace(entry, outcome=Outcome(one.outcome))
    if one.segmentation is not None:
        mask = decode(one.segmentation, size, where)
        held = (mask.height, mask.width)
        if entry.size not in (None, held):
            raise GeometryError(f"a mask of {held[0]} x {held[1]} in a sample of {entry.size}")
        if one.crowd:
            return replace(entry, ignore=mask if entry.ignore is None else entry.ignore.union(mask), size=held)
        return replace(entry, masks=(*entry.masks, mask), size=held)
    if one.bbox:
        x, y, width, height = (float(value) for value in one.bbox)
        if not all(map(math.isfinite, (x, y, width, height))):
            raise ValueError(f"its box holds a number that is not finite: {[*one.bbox]}")
        return replace(entry, boxes=(*entry.boxes, (x, y, x + width, y + height)))
    return entry
