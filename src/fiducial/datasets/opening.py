"""Open a dataset by name and path, or by a path whose layout is recognised."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from fiducial.datasets import coco, earthreason, folder, panoptic, phrases, prsmed, reasonseg, refer, voc, volume
from fiducial.datasets.layout import Layout
from fiducial.datasets.sample import Dataset
from fiducial.errors import InputError, UnknownNameError

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        earthreason.LAYOUT,
        *refer.LAYOUTS.values(),
        *phrases.LAYOUTS.values(),
        reasonseg.LAYOUT,
        coco.LAYOUT,
        panoptic.LAYOUT,
        voc.LAYOUT,
        prsmed.LAYOUT,
        volume.LAYOUT,
        folder.LAYOUT,
    )
}
DATASETS: tuple[str, ...] = tuple(sorted(LAYOUTS))
# One letter before a colon is a drive of Windows.
_SPEC = re.compile(r"(?P<name>[a-z][a-z0-9+_-]+):(?P<path>.+)", re.DOTALL | re.IGNORECASE)


def open_dataset(spec: str | Path, *, split: str | None = None, **options: Any) -> Dataset:
    """Open a benchmark folder.

    Args:
        spec: ``"FORMAT:PATH"``, or a path whose layout is recognised. Options may follow as in an
            address: ``"folder:/data/brain?instruction=tumour"``.
        split: the part wanted, such as ``"test"``; None reads all parts.
        options: what the layout's own ``open_...`` function takes (``texts``, ``per``, ``split_by``,
            ``images``, ``instruction``, ``masks``, ``truth``, ``void``, ``plane``, ``window``, ``least``).

    Returns:
        The dataset. Annotations are read, masks and pictures are not: they are decoded sample by sample.

    Raises:
        UnknownNameError: no such format, split or option, or the path's layout is not recognised or
            could be several.
        InputError: no such path, or a file in it is missing or broken.

    Example:
        >>> open_dataset("cocoo:/data")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        fiducial.errors.UnknownNameError: unknown dataset format 'cocoo': did you mean 'coco'? known: coco...
    """
    name, path, written = _taken_apart(str(spec))
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    layout = LAYOUTS[name] if name else recognise(path)
    given = {"split": split, **written, **options} if split is None else {**written, "split": split, **options}
    known = {key for key in _options(layout) if key != "name"}
    for option in given:
        if option not in known:
            raise UnknownNameError(f"option of the {layout.name} dataset", option, known)
    return layout.open(path, **given)


def recognise(path: Path) -> Layout:
    """Tell the layout of a path by the names in it.

    Raises:
        UnknownNameError: none fits, or several do.
    """
    fitting = [layout for layout in LAYOUTS.values() if layout.recognises(path)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise UnknownNameError("dataset layout (say FORMAT:PATH) in", str(path), DATASETS)
    raise UnknownNameError(
        "one of several dataset layouts (say FORMAT:PATH) in", str(path), [one.name for one in fitting]
    )


def _taken_apart(spec: str) -> tuple[str | None, Path, dict[str, str]]:
    """Split a text into format, path and options; a path that exists is taken as it stands."""
    if Path(spec).exists():
        return None, Path(spec), {}
    found = _SPEC.fullmatch(spec)
    name, rest = (found["name"].lower(), found["path"]) if found else (None, spec)
    if name is not None and name not in LAYOUTS:
        raise UnknownNameError("dataset format", name, LAYOUTS)
    path, _, query = (rest, "", "") if Path(rest).exists() else rest.partition("?")
    return name, Path(path), dict(parse_qsl(query, keep_blank_values=True))


def _options(layout: Layout) -> list[str]:
    parameters = inspect.signature(layout.open).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
