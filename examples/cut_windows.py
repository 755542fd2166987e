"""Cut square windows out of pictures with instances, and write them as COCO: targets of large pictures become larger.

    python examples/cut_windows.py "coco:DATA/aerial_vhr10?per=image&held_out=0.15" --out windows
    fiducial refer "coco:windows/instances.json?per=image&images=images" --out windows/sentences.jsonl
    fiducial evaluate referring:windows/sentences.jsonl --recipe think2seg-nano --out measured

In every window lies a thing; things of which it shows less than half are left out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import PIL.Image

from fiducial.datasets import open_dataset
from fiducial.training.augmentation import Move

VISIBLE = 0.5


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="one sample a picture, with the masks and labels of its things")
    parser.add_argument("--out", type=Path, default=Path("windows"), help="the folder to write")
    parser.add_argument("--windows", type=int, default=3, help="windows of each picture")
    parser.add_argument("--sides", type=float, nargs=2, default=(0.25, 0.6), help="of the picture's shorter side")
    parser.add_argument("--seed", type=int, default=0, help="of all draws")
    arguments = parser.parse_args()
    folder = arguments.out / "images"
    folder.mkdir(parents=True, exist_ok=True)
    names: dict[str, int] = {}
    images, annotations = [], []
    for index, sample in enumerate(open_dataset(arguments.dataset)):
        things = [pair for pair in zip(sample.labels, sample.instances or (), strict=True) if pair[1]]
        if not things:
            continue
        random = np.random.default_rng([arguments.seed, index])
        image = sample.image()
        for number in range(arguments.windows):
            shorter = min(image.width, image.height)
            side = min(shorter, max(32, round(shorter * random.uniform(*arguments.sides))))
            x1, y1, x2, y2 = things[int(random.integers(len(things)))][1].box
            x, y = (x1 + x2) / 2 - random.uniform(0.15, 0.85) * side, (y1 + y2) / 2 - random.uniform(0.15, 0.85) * side
            left, top = int(np.clip(x, 0, image.width - side)), int(np.clip(y, 0, image.height - side))
            move = Move(left, top, side, side)
            file = f"{index:05}-{number}.png"
            PIL.Image.fromarray(move.pixels(image.pixels)).save(folder / file)
            images.append({"id": len(images) + 1, "file_name": file, "width": side, "height": side})
            for label, mask in things:
                part = move.mask(mask)
                if part.area < VISIBLE * mask.area:
                    continue
                px1, py1, px2, py2 = part.box
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": len(images),
                        "category_id": names.setdefault(label, len(names) + 1),
                        "segmentation": part.to_coco(),
                        "area": part.area,
                        "bbox": [px1, py1, px2 - px1, py2 - py1],
                        "iscrowd": 0,
                    }
                )
    categories = [{"id": number, "name": name} for name, number in names.items()]
    values = {"images": images, "annotations": annotations, "categories": categories}
    (arguments.out / "instances.json").write_text(json.dumps(values), encoding="utf-8")
    print(f"{len(images)} windows with {len(annotations)} things in {arguments.out}")


if __name__ == "__main__":
    main()
