"""What the disk cache of embeddings saves: a second run of SAM 2 over the same pictures against the first.

Random weights at real size (SAM 2 with the hiera-tiny tower, 1024 pixels), prompts of the truth, drawn scenes; each run
is a whole process, ``fiducial evaluate`` with ``--cache``. Nothing is downloaded.

    python benchmarks/embedding_cache.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from decode_batch import build
from recording import record


def run(folder: Path, name: str, pictures: int, cache: str | None) -> dict[str, Any]:
    """Evaluate once, in a process of its own, and return its seconds and its masks."""
    words = [sys.executable, "-m", "fiducial", "evaluate", f"scenes:aerial?count={pictures}&seed=1", "--json"]
    words += ["--prompter", "truth", "--segmenter", f"sam2:{folder / 'model'}", "--device", "cpu", "--no-images"]
    words += ["--out", str(folder / name), *(["--cache", str(folder / cache)] if cache else [])]
    started = time.perf_counter()
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    seconds = json.loads(done.stdout)["seconds"]
    records = [json.loads(line) for line in (folder / name / "samples.jsonl").read_text().splitlines()]
    return {
        "wall_seconds": round(time.perf_counter() - started, 2),
        "encode_seconds_per_picture": round(seconds["encode"]["mean"], 4),
        "masks": [one["masks"] for one in records],
    }


def main() -> None:
    """Measure and write the numbers down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        build("sam2-hiera-tiny").save_pretrained(folder / "model")
        plain, first, second = (
            run(folder, name, options.pictures, cache)
            for name, cache in (("plain", None), ("first", "cache"), ("second", "cache"))
        )
        size = sum(path.stat().st_size for path in (folder / "cache").rglob("*") if path.is_file())
    same = plain.pop("masks") == first["masks"] and first.pop("masks") == second.pop("masks")
    measured = {
        "pictures": options.pictures,
        "without_cache": plain,
        "first_run": first,
        "second_run": second,
        "second_over_first_wall": round(second["wall_seconds"] / first["wall_seconds"], 3),
        "second_over_first_encode": round(
            second["encode_seconds_per_picture"] / first["encode_seconds_per_picture"], 4
        ),
        "same_masks": same,
        "megabytes_per_picture": round(size / 1e6 / options.pictures, 1),
    }
    record("embedding_cache", measured, ("torch", "transformers", "numpy"))


if __name__ == "__main__":
    main()
