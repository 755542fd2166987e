"""One COCO file for all pictures of a run, joined from the files of the single ones."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fiducial.errors import InputError
from fiducial.files import json_text, read_json, write_atomically
from fiducial.results.saving import FORMATS

JOINT_NAME = "coco.json"
"""What the file is called; no picture's own can be: these have the picture's name in front."""


def write_joint_coco(folder: Path, names: Mapping[str, str]) -> Path | None:
    """Join the COCO files of single pictures in a folder into one.

    Pictures are numbered from 1 in the order given, annotations likewise, and each label is one category.

    Args:
        folder: where the single files lie, and where the joint one goes.
        names: by stem of the single file, in order, the file name that the picture has in the joint one.

    Returns:
        The file, or None where there is no single one.

    Raises:
        InputError: a single file is no COCO file of ours, or the joint one cannot be written.
    """
    ending = FORMATS["coco"]["coco"][0]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    numbers: dict[str, int] = {}
    infos: list[dict[str, Any]] = []
    for stem, name in names.items():
        path = folder / f"{stem}{ending}"
        if not path.is_file():
            continue
        found = read_json(path, kind=dict)
        try:
            (image,) = found["images"]
            labels = {one["id"]: one["name"] for one in found["categories"]}
            images.append({**image, "id": len(images) + 1, "file_name": name})
            for one in found["annotations"]:
                category = numbers.setdefault(labels[one["category_id"]], len(numbers) + 1)
                places = {"id": len(annotations) + 1, "image_id": len(images), "category_id": category}
                annotations.append({**one, **places})
            infos.append(found["info"])
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{path}: is not as it was written: segment its picture again") from None
    if not images:
        return None
    categories = [{"id": number, "name": name, "supercategory": ""} for name, number in numbers.items()]
    info = infos[0] if all(one == infos[0] for one in infos) else {}
    values = {
        "info": info,
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
    return write_atomically(folder / JOINT_NAME, json_text(values))


def names_from_common_folder(paths: Sequence[Path]) -> list[str]:
    """Name files from the folder that holds them all, with forward slashes, so that no two are called alike.

    Example:
        >>> names_from_common_folder([Path("run/a.jpg"), Path("run/deep/a.jpg")])
        ['a.jpg', 'deep/a.jpg']
    """
    parents = [path.absolute().parent for path in paths]
    try:
        common = Path(os.path.commonpath(parents))
    except ValueError:  # on several drives
        return [path.absolute().as_posix() for path in paths]
    return [path.absolute().relative_to(common).as_posix() for path in paths]
