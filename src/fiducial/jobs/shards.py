"""Results in Parquet files: one row a target, and the seconds beside them; read back, held against the ledger, joined.

What determines the bytes of ``results/`` is the manifest, the pictures and the recipe; what was timed lies apart, in
``seconds/``, for it never comes out the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.errors import InputError, extra_needed
from fiducial.files import make_folder, write_atomically, writing
from fiducial.geometry import Mask
from fiducial.jobs.ledger import Ledger, Shard, Written
from fiducial.results.annotations import UNNAMED, coco_annotation
from fiducial.results.joint import JOINT_NAME
from fiducial.results.segmentation import STAGES

if TYPE_CHECKING:
    import pyarrow

RESULTS, SECONDS, DEAD_LETTERS = "results", "seconds", "dead.jsonl"
"""Folders of the shards, and the file of the rows of which nothing came."""


def require_parquet() -> None:
    """Raise a MissingExtraError where nothing writes Parquet."""
    with extra_needed("a batch", "jobs"):
        import pyarrow.parquet  # noqa: F401


def schema() -> pyarrow.Schema:
    """Return the columns of a result: of a row without a target the columns of a target are null.

    ``row`` counts the manifest's rows from 1; ``target`` those of a row from 1; ``box`` is x1, y1, x2, y2 and
    ``points`` are x, y, both in pixels of the picture, as the segmenter saw them; ``rle`` is COCO's compressed code of
    the mask, to be read with ``height`` and ``width``; ``score`` is 0..1; ``area`` counts pixels.
    """
    import pyarrow as pa

    return pa.schema(
        [
            ("row", pa.int64()),
            ("id", pa.string()),
            ("image", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("instruction", pa.string()),
            ("outcome", pa.string()),
            ("target", pa.int32()),
            ("label", pa.string()),
            ("score", pa.float64()),
            ("box", pa.list_(pa.float64())),
            ("points", pa.list_(pa.list_(pa.float64()))),
            ("point_labels", pa.list_(pa.int8())),
            ("area", pa.int64()),
            ("rle", pa.string()),
            ("text", pa.string()),
            ("thinking", pa.string()),
            ("repairs", pa.list_(pa.string())),
        ]
    )


def write_shard(folder: Path, shard: Shard, rows: Iterable[Written]) -> dict[str, int]:
    """Write the files of a shard; returns their bytes by their names from the folder.

    Args:
        folder: of the batch.
        shard: names the files.
        rows: those that are done, in order.
    """
    import pyarrow as pa

    targets, seconds = list[dict[str, Any]](), list[dict[str, Any]]()
    for one in rows:
        result = json.loads(one.result)
        targets += _targets(one, result)
        seconds.append({"row": one.row.number, "id": one.row.id, **result["seconds"]})
    timed = pa.schema([("row", pa.int64()), ("id", pa.string()), *((stage, pa.float64()) for stage in STAGES)])
    sizes = {}
    for place, values, columns in ((RESULTS, targets, schema()), (SECONDS, seconds, timed)):
        name = f"{place}/part-{shard.number:05}.parquet"
        content = _as_parquet(pa.Table.from_pylist(values, columns))
        make_folder(folder / place)
        write_atomically(folder / name, content)
        sizes[name] = len(content)
    return sizes


def _targets(one: Written, result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    row = {
        "row": one.row.number,
        "id": one.row.id,
        "image": one.row.image,
        "instruction": one.row.instruction,
        **{name: result[name] for name in ("width", "height", "outcome", "text", "thinking", "repairs")},
    }
    if not result["masks"]:
        yield row
    found = zip(result["prompts"], result["masks"], result["scores"], strict=True)
    for number, (prompt, mask, score) in enumerate(found, start=1):
        yield {**row, **prompt, **mask, "target": number, "score": score}


def _as_parquet(table: pyarrow.Table) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def read_shard(path: Path) -> list[dict[str, Any]]:
    """Read a file of results as plain values, one mapping a target.

    Raises:
        InputError: it is gone, or not as it was written.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            rows: list[dict[str, Any]] = file.read().to_pylist()
            return rows
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0][:200]})") from None


def check(ledger: Ledger) -> None:
    """Hold every file against the ledger: each row that is done is there, with all its targets, and no other.

    Raises:
        InputError: a file is not what was written.
    """
    from pyarrow import parquet

    for shard, sizes in ledger.shards():
        path = ledger.folder / next(iter(sizes))
        try:
            columns = parquet.read_table(path, columns=["row", "target"]).to_pydict()
        except Exception as error:  # noqa: BLE001 - Arrow has many; the file is not the one that was written
            raise InputError(f"{path}: cannot be read ({str(error)[:200]})") from None
        there = Counter(dict.fromkeys(columns["row"], 0))
        there.update(row for row, target in zip(columns["row"], columns["target"], strict=True) if target)
        expected = ledger.targets(shard)
        if dict(there) != expected or len(columns["row"]) != sum(max(1, count) for count in expected.values()):
            raise InputError(
                f"{path}: does not hold what was written: was it edited? Where it is gone, it is made anew"
            )


def write_dead(ledger: Ledger, base: Path) -> Path:
    """Write the rows of which nothing came, with the reasons; the file is a manifest itself.

    Args:
        ledger: of the batch.
        base: folder from which the paths of its manifest start.
    """
    path = ledger.folder / DEAD_LETTERS
    with writing(path) as file:
        for one in ledger.dead():
            row = one.row
            said = {name: getattr(row, name) for name in ("instruction", "prompts", "reply", "dialect")}
            values = {
                "id": row.id,
                "row": row.number,
                "image": str((base / row.image).absolute()) if row.image else None,
                **{name: value for name, value in said.items() if value not in (None, "")},
                "reason": one.result,
            }
            file.write(json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
    return path


def write_coco(ledger: Ledger) -> Path:
    """Write all results as one COCO file, shard by shard: images and annotations count from 1 in the order of the rows.

    Each annotation also has the ``row`` and the ``row_id`` that it belongs to.
    """
    path = ledger.folder / JOINT_NAME
    with writing(path) as file:
        file.write(b'{"info":{"contributor":"fiducial"},"licenses":[],"images":[')
        _write_items(file, (image for image, _ in _images(ledger)))
        file.write(b'],"annotations":[')
        categories: dict[str, int] = {}
        _write_items(file, _annotations(ledger, categories))
        listed = ({"id": number, "name": name, "supercategory": ""} for name, number in categories.items())
        file.write(b'],"categories":[')
        _write_items(file, listed)
        file.write(b"]}\n")
    return path


def _images(ledger: Ledger) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Return each picture, as COCO has it, with the rows of its results."""
    image: dict[str, Any] = {}
    some: list[dict[str, Any]] = []
    for _, sizes in ledger.shards():
        for row in read_shard(ledger.folder / next(iter(sizes))):
            if row["image"] != image.get("file_name"):
                if image:
                    yield image, some
                number = image.get("id", 0) + 1
                image = {"id": number, "file_name": row["image"], "width": row["width"], "height": row["height"]}
                some = []
            some.append(row)
    if image:
        yield image, some


def _annotations(ledger: Ledger, categories: dict[str, int]) -> Iterator[dict[str, Any]]:
    number = 0
    for image, rows in _images(ledger):
        for row in rows:
            if row["target"] is None:
                continue
            number += 1
            category = categories.setdefault(row["label"] or UNNAMED, len(categories) + 1)
            mask = Mask.from_coco({"size": [row["height"], row["width"]], "counts": row["rle"]})
            annotation = coco_annotation(number, image["id"], category, mask, row["score"])
            yield {**annotation, "row": row["row"], "row_id": row["id"]}


def _write_items(file: Any, items: Iterable[Mapping[str, Any]]) -> None:
    for number, item in enumerate(items):
        text = json.dumps(item, ensure_ascii=False, allow_nan=False)
        file.write(f"{',' if number else ''}\n{text}".encode("utf-8", "backslashreplace"))
