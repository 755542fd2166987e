"""What the reward service saves against the published algorithm: encode per completion, decode per instance.

Random weights at real size (SAM 2 with the hiera-tiny tower, 1024 pixels); each group is 16 completions of one image,
with one to three targets each, as one instruction's completions are: near one another, some alike, one empty, one
malformed. Nothing is downloaded. The published algorithm is measured on the first groups only, for it takes minutes;
completions without a prompt cost it nothing here.

    python benchmarks/rewards.py
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import torch
from decode_batch import HEIGHT, WIDTH, blob, build
from recording import record

from fiducial.config import read_part
from fiducial.contracts import Embedding
from fiducial.geometry import Mask, Prompts
from fiducial.images import Image
from fiducial.language.dialects import dialect
from fiducial.rewards import MaskService, Scorer, mask_iou, suppress_duplicates
from fiducial.segmenters.sam import SamSegmenter

SIDE = 840


class Counting:
    """Counts the passes of a segmenter and the time that they take."""

    def __init__(self, segmenter: SamSegmenter) -> None:
        self.segmenter = segmenter
        self.encodes = self.decodes = 0
        self.encode_seconds = 0.0

    def encode(self, image: Image) -> Embedding:
        """Encode, and count it."""
        started = time.perf_counter()
        found = self.segmenter.encode(image)
        self.encode_seconds += time.perf_counter() - started
        self.encodes += 1
        return found

    def decode(self, embedding: Embedding, prompts: Prompts) -> list[Mask]:
        """Decode, and count it."""
        self.decodes += 1
        return self.segmenter.decode(embedding, prompts)


def image(number: int) -> Image:
    """Draw a picture that is another one for each group."""
    return Image(np.roll(blob().pixels, 37 * number, axis=1))


def replies(number: int, count: int) -> list[str]:
    """Write the completions of one group in the form of Think2Seg-RS."""
    rng = np.random.default_rng(number)
    centres = rng.uniform(160, SIDE - 160, (3, 2))
    written = []
    for k in range(count):
        rows = []
        for centre in centres[: 1 + k % 3]:
            x, y = np.rint(centre + rng.integers(-2, 3, 2) * 8).astype(int).tolist()
            half = 60 + 10 * int(rng.integers(0, 3))
            points = [[x - 10, y], [x + 10, y]]
            rows.append({"bbox_2d": [x - half, y - half, x + half, y + half], "positive_points": points})
        body = json.dumps([] if k == count - 2 else rows)
        fence = "```" if k == count - 1 else "```json"
        written.append(f"<think>compared</think>\n<answer>\n{fence}\n{body}\n```\n</answer>")
    return written


def published(segmenter: Counting, picture: Image, truth: list[Mask], texts: list[str]) -> list[float]:
    """Return the IoU of each completion: encode for the completion, decode for each of its instances, join."""
    reader = dialect("think2seg")
    frame = reader.frame(picture.width, picture.height)
    found = []
    for text in texts:
        prompts = suppress_duplicates(reader.decode(text, frame, strict=True).prompts).to(picture.frame)
        masks: list[Mask] = []
        if len(prompts):
            embedding = segmenter.encode(picture)
            masks = [segmenter.decode(embedding, prompts[k : k + 1])[0] for k in range(len(prompts))]
        found.append(mask_iou(masks, truth))
    return found


def measure(groups: int, published_groups: int, completions: int) -> dict[str, Any]:
    """Time both ways."""
    segmenter = SamSegmenter(build("sam2-hiera-tiny"), fingerprint="random")
    truth = [Mask.from_box((WIDTH // 3, HEIGHT // 3, WIDTH // 3 * 2, HEIGHT // 3 * 2), HEIGHT, WIDTH)]
    segmenter.decode(segmenter.encode(image(-1)), Prompts.from_boxes(image(-1).frame, [(10, 10, 200, 200)]))  # warm up
    ours, theirs = Counting(segmenter), Counting(segmenter)
    service = MaskService(ours)
    scorer = Scorer(read_part("reward", "think2seg?strict_format=0&think_format=0"), service)
    rows: list[dict[str, Any]] = []
    for number in range(groups):
        picture, texts = image(number), replies(number, completions)
        started = time.perf_counter()
        rewards = scorer.score(picture, truth, texts)
        row: dict[str, Any] = {"service_seconds": time.perf_counter() - started}
        if number < published_groups:
            started = time.perf_counter()
            expected = published(theirs, picture, truth, texts)
            row["published_seconds"] = time.perf_counter() - started
            pairs = zip(rewards, expected, strict=True)
            row["largest_iou_difference"] = max(abs(reward.total / 2 - iou) for reward, iou in pairs)
        rows.append(row)
        print(row, flush=True)
    both = rows[:published_groups]
    saved = sum(row["published_seconds"] for row in both) / sum(row["service_seconds"] for row in both)
    counts, encode_seconds = dict(service.counts), ours.encode_seconds
    started = time.perf_counter()
    scorer.score(image(0), truth, replies(0, completions))
    again = time.perf_counter() - started
    return {
        "image": [WIDTH, HEIGHT],
        "torch_threads": torch.get_num_threads(),
        "completions_per_group": completions,
        "groups": groups,
        "groups_measured_both_ways": published_groups,
        "encoder_passes": {
            "service_all_groups": counts["encoded"],
            "published_groups_measured": theirs.encodes,
        },
        "decoder_calls": {"service_all_groups": counts["decoded"], "published_groups_measured": theirs.decodes},
        "prompts_asked_and_cut": [counts["prompts"], counts["cut"]],
        "service_seconds_first_group": round(rows[0]["service_seconds"], 2),
        "published_seconds_first_group": round(rows[0]["published_seconds"], 2),
        "service_seconds_all_groups": round(sum(row["service_seconds"] for row in rows), 2),
        "published_over_service": round(saved, 2),
        "encode_seconds": {
            "service_mean": round(encode_seconds / counts["encoded"], 2),
            "published_mean": round(theirs.encode_seconds / theirs.encodes, 2),
        },
        "service_seconds_for_an_image_met_before": round(again, 2),
        "largest_iou_difference": round(max(row["largest_iou_difference"] for row in both), 8),
    }


def main() -> None:
    """Measure and write the numbers down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", type=int, default=8)
    parser.add_argument("--published-groups", type=int, default=2, help="groups measured the published way too")
    parser.add_argument("--completions", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    measured = measure(options.groups, options.published_groups, options.completions)
    record("rewards", measured, ("torch", "transformers", "numpy"))


if __name__ == "__main__":
    main()
