"""Writing a large label map, read back and compared in mm, beside nibabel's plain save: seconds and peak memory.

The labels are the organs of the phantom brought onto a grid of 512 x 512 x 1000 voxels. Each way is measured in a
process of its own: seconds of the processor, so that other work on the machine counts little, and the peak of memory
beyond the labels themselves. ``write`` fsyncs, reads the file back, and compares each label's voxels and centroid;
``nibabel`` writes and is done.

    python benchmarks/volumes.py
    python benchmarks/volumes.py --shape 128 128 128
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from recording import record

from fiducial.volumes import LabelMap, make_phantom

WAYS = ("write", "nibabel")
SUFFIXES = (".nii.gz", ".nii")


def labels_of(shape: tuple[int, int, int]) -> LabelMap:
    """Bring the phantom's labels onto a grid of a shape, in the same place of the patient."""
    coarse = make_phantom().label_map
    steps = [old / new for old, new in zip(coarse.shape, shape, strict=True)]
    places = [((np.arange(new) + 0.5) * step).astype(int) for new, step in zip(shape, steps, strict=True)]
    affine = np.array(coarse.affine)
    affine[:3, 3] += affine[:3, :3] @ ((np.array(steps) - 1) / 2)
    affine[:3, :3] *= steps
    return LabelMap(coarse.array[np.ix_(*places)], affine, coarse.names)


def measure(way: str, suffix: str, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Write the labels one way, in this process."""
    import nibabel

    labels = labels_of(shape)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"labels{suffix}"
        before, started, clock = _peak(), time.process_time(), time.perf_counter()
        if way == "write":
            labels.write(path)
        else:
            nibabel.save(nibabel.Nifti1Image(labels.array, labels.affine), path)
        seconds, passed = time.process_time() - started, time.perf_counter() - clock
        return {
            "way": way,
            "file": suffix,
            "seconds_of_processor": round(seconds, 2),
            "seconds_of_wall_clock": round(passed, 2),
            "peak_MB_beyond_the_labels": round((_peak() - before) / 1e6, 1),
            "file_MB": round(path.stat().st_size / 1e6, 2),
        }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measure and write the numbers down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", nargs=3, type=int, default=[512, 512, 1000])
    parser.add_argument("--one", nargs=2, help="print the cost of one way and one suffix")
    options = parser.parse_args()
    x, y, z = options.shape
    if options.one:
        print(json.dumps(measure(*options.one, (x, y, z))))
        return
    size = ["--shape", *map(str, options.shape)]
    rows: list[dict[str, Any]] = []
    for suffix in SUFFIXES:
        for way in WAYS:
            command = [sys.executable, __file__, *size, "--one", way, suffix]
            rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    ratios = {
        suffix: round(rows[2 * n]["seconds_of_processor"] / rows[2 * n + 1]["seconds_of_processor"], 2)
        for n, suffix in enumerate(SUFFIXES)
    }
    measured = {"shape": options.shape, "labels_MB": round(x * y * z / 1e6), "ways": rows, "write_over_nibabel": ratios}
    record("volumes", measured, ("numpy", "nibabel"))


if __name__ == "__main__":
    main()
