"""What decoding many prompts in one call saves against one call per prompt.

Random weights at real sizes: SAM 2 with the hiera-tiny tower, and SAM with ViT-B, both at 1024 pixels.
Nothing is downloaded. "One call" is the usual call of ``decode``, which batches as far as it pays on the
device (4 prompts on a CPU, 32 elsewhere); "one batch" puts up to 64 prompts into a single batch, whatever it
costs. All ways give the same masks but for single pixels where rounding decides, which is reported.

    python benchmarks/decode_batch.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from recording import record

from fiducial.geometry import Mask, Prompts
from fiducial.images import Image
from fiducial.segmenters.sam import SamSegmenter
from fiducial.segmenters.sam_configs import SamConfig

WIDTH, HEIGHT = 1280, 960


def build(name: str) -> Any:
    """Build a model of real size with random weights of a spread that lets signals through."""
    from transformers import Sam2Config, Sam2Model, SamConfig, SamModel

    torch.manual_seed(0)
    model = Sam2Model(Sam2Config()) if name == "sam2-hiera-tiny" else SamModel(SamConfig())
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if "positional_embedding" in key:
                tensor.normal_()
            elif tensor.is_floating_point() and tensor.ndim > 1:
                tensor.normal_(0, 1 / np.sqrt(tensor[0].numel()))
    return model


def blob() -> Image:
    """Draw a picture with some structure."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    waves = [np.sin(columns / (40 + 9 * k)) + np.cos(rows / (30 + 7 * k)) for k in range(3)]
    return Image(np.ascontiguousarray(np.stack(waves, -1) * 60 + 128).astype(np.uint8))


def boxes(count: int) -> Prompts:
    """Spread boxes over the picture."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 1, (count, 2)) * (WIDTH - 260, HEIGHT - 260)
    return Prompts.from_boxes(blob().frame, np.concatenate([corners, corners + rng.uniform(40, 250, (count, 2))], 1))


def timed(work: Callable[[], list[Mask]], repeats: int) -> tuple[float, list[Mask]]:
    """Return the median of the seconds that the work takes, and its result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def measure(name: str, counts: list[int], repeats: int) -> dict[str, Any]:
    """Time one model."""
    model = build(name)
    segmenter = SamSegmenter(model, fingerprint="random")
    one_batch = SamSegmenter(model, SamConfig(max_prompts=64), fingerprint="random")
    start = time.perf_counter()
    embedding = segmenter.encode(blob())
    rows: dict[str, Any] = {"encode_seconds": round(time.perf_counter() - start, 3), "decode": []}
    rows["embedding_megabytes"] = round(sum(t.nbytes for t in embedding.tensors.values()) / 1e6, 1)
    segmenter.decode(embedding, boxes(1))
    for count in counts:
        prompts = boxes(count)
        times = repeats if count < 64 else 1
        together, masks = timed(lambda p=prompts: segmenter.decode(embedding, p), times)
        single, alone = timed(
            lambda p=prompts: [segmenter.decode(embedding, p[i : i + 1])[0] for i in range(len(p))], times
        )
        whole, _ = timed(lambda p=prompts: one_batch.decode(embedding, p), times)
        agreement = min(mask.iou(other) if mask or other else 1.0 for mask, other in zip(masks, alone, strict=True))
        rows["decode"].append(
            {
                "prompts": count,
                "one_call_seconds": round(together, 4),
                "one_batch_seconds": round(whole, 4),
                "one_by_one_seconds": round(single, 4),
                "one_by_one_over_one_call": round(single / together, 2),
                "lowest_iou_of_both_ways": round(agreement, 6),
            }
        )
        print(name, rows["decode"][-1], flush=True)
    return rows


def main() -> None:
    """Measure both models and write the numbers down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--repeats", type=int, default=3, help="for counts below 64; those are timed once")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    measured = {"image": [WIDTH, HEIGHT], "torch_threads": options.threads}
    measured |= {name: measure(name, options.counts, options.repeats) for name in ("sam2-hiera-tiny", "sam-vit-base")}
    record("decode_batch", measured, ("torch", "transformers", "numpy"))


if __name__ == "__main__":
    main()
