"""Measure how long opening a large dataset takes, how much memory, and how fast its samples come.

Run it from the repository's root::

    python benchmarks/datasets.py

Annotation files are written as large as those of RRSIS-D (17,402 references, as run-length codes or as
polygons) and of RefCOCO (19,994 pictures, 196,771 polygons, 142,210 sentences), then opened in a fresh
process each; the peak is that of the whole process, imports included. Pictures are links to one file,
since opening looks only whether they are there.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from recording import record

from fiducial.geometry import Mask

SIZE = 800
WORDS = ["the", "large", "grey", "ship", "on", "left", "side", "of", "a", "harbour", "next", "to", "small", "bridge"]
SHAPES = {
    "rrsisd, run-length codes": {"name": "rrsisd", "pictures": 17_402, "references": 17_402, "extra": 0, "said": 1},
    "rrsisd, polygons": {"name": "rrsisd", "pictures": 17_402, "references": 17_402, "extra": 0, "said": 1},
    "refcoco, polygons": {
        "name": "refcoco",
        "pictures": 19_994,
        "references": 50_000,
        "extra": 146_771,
        "said": 2.844_2,
    },
}
FOLDERS = {"rrsisd": "images/rrsisd/JPEGImages", "refcoco": "images/mscoco/images/train2014"}


def main() -> None:
    """Write, open and record."""
    if len(sys.argv) == 3:
        print(json.dumps(opened(sys.argv[1], Path(sys.argv[2]))))
        return
    measured = {}
    for title, shape in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), codes="codes" in title, **shape)
            command = [sys.executable, __file__, shape["name"], folder]
            measured[title] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    record("datasets", measured, ("numpy", "pillow"))


def opened(name: str, root: Path) -> dict[str, Any]:
    """Open a dataset once and decode some of its samples."""
    from fiducial.datasets import open_dataset

    files = sum(path.stat().st_size for path in (root / name).iterdir())
    imported = peak()
    started, busy = time.perf_counter(), time.process_time()
    dataset = open_dataset(f"{name}:{root}")
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    after = peak()
    step = max(1, len(dataset) // 1000)
    picked = range(0, len(dataset), step)
    started = time.perf_counter()
    areas = [dataset[index].truth.area for index in picked]
    return {
        "samples": len(dataset),
        "annotation_megabytes": round(files / 1e6, 1),
        "open_seconds": round(seconds, 2),
        "open_processor_seconds": round(busy, 2),
        "peak_mebibytes": round(after),
        "of_which_imports_mebibytes": round(imported),
        "milliseconds_per_sample": round((time.perf_counter() - started) / len(picked) * 1e3, 3),
        "mean_area": round(float(np.mean(areas))),
    }


def peak() -> float:
    """Return the largest memory that this process held, in mebibytes (Linux only)."""
    # The kernel's own record: ``getrusage`` would also count the parent that started this process.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def write(
    root: Path, *, name: str, pictures: int, references: int, extra: int, said: float, codes: bool, seed: int = 0
) -> None:
    """Write a folder in the REFER layout."""
    generator = np.random.default_rng(seed)
    folder = root / FOLDERS[name]
    folder.mkdir(parents=True)
    (root / name).mkdir()
    Image.new("RGB", (8, 8)).save(folder / "0.jpg")
    for number in range(1, pictures):
        os.link(folder / "0.jpg", folder / f"{number}.jpg")
    images = [{"id": i, "file_name": f"{i}.jpg", "height": SIZE, "width": SIZE} for i in range(pictures)]
    annotations = [annotation(i, i % pictures, generator, codes) for i in range(references + extra)]
    instances = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "ship"}]}
    (root / name / "instances.json").write_text(json.dumps(instances))
    (root / name / "refs(unc).p").write_bytes(
        pickle.dumps([reference(i, i % pictures, said, generator) for i in range(references)], protocol=2)
    )


def annotation(number: int, picture: int, generator: np.random.Generator, codes: bool) -> dict[str, Any]:
    """Make one instance: a star-like outline of 40 corners."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = generator.uniform(20, 120) * generator.uniform(0.7, 1.0, size=40)
    centre = generator.uniform(130, SIZE - 130, size=2)
    ring = np.round(centre + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), 2)
    outline = ring.ravel().tolist()
    (x1, y1), (x2, y2) = ring.min(axis=0).tolist(), ring.max(axis=0).tolist()
    return {
        "id": number,
        "image_id": picture,
        "category_id": 1,
        "iscrowd": 0,
        "area": 1.0,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "segmentation": [Mask.from_polygons([outline], SIZE, SIZE).to_coco()] if codes else [outline],
    }


def reference(number: int, picture: int, said: float, generator: np.random.Generator) -> dict[str, Any]:
    """Make one reference with about ``said`` sentences."""
    sentences = []
    for index in range(int(said * (number + 1)) - int(said * number)):
        tokens = [str(word) for word in generator.choice(WORDS, size=7)]
        text = " ".join(tokens)
        sentences.append({"tokens": tokens, "raw": text, "sent_id": number * 4 + index, "sent": text})
    return {
        "sent_ids": [sentence["sent_id"] for sentence in sentences],
        "file_name": f"COCO_train2014_{picture:012}_{number}.jpg",
        "ann_id": number,
        "ref_id": number,
        "image_id": picture,
        "split": ("train", "val", "test")[number % 3],
        "sentences": sentences,
        "category_id": 1,
    }


if __name__ == "__main__":
    main()
