"""Say how well colours are judged: things of aerial pictures, named by hand, against what phrases choose.

``aerial_vhr10_colours.csv`` beside this file names 112 things of 82 pictures of ``aerial_vhr10`` by eye, two
terms where both would do. The limits of the judgement were set on the pictures of even number; those of odd number
were held out.

- *by name*: "the red ships" takes the thing when its colour is red.
- *first*: its most frequent colour is the one that was named.
- *others*: how many further basic colours it is taken for, of the nine or ten that it was not named by.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path

from fiducial.images import read_image
from fiducial.language.candidates import COLOURS
from fiducial.language.phrases.scene import Scene
from fiducial.prompters.detector.prompter import as_candidate
from fiducial.prompters.detector.reading import Detection

Row = tuple[int, set[str], set[str], str]
"""Picture, colours named by eye, colours that it is taken for, and the most frequent one."""


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that DATA stands for")
    arguments = parser.parse_args()
    rows = list(_judged(arguments.data / "aerial_vhr10"))
    for name, half in (("set by", 0), ("held out", 1)):
        some = [row for row in rows if row[0] % 2 == half]
        by_name = sum(bool(named & taken) for _, named, taken, _ in some)
        first = sum(top in named for _, named, _, top in some)
        others = sum(len(taken - named) for _, named, taken, _ in some)
        print(f"{name}: {len(some)} things, by name {by_name}, first {first}, others {others / len(some):.2f} a thing")
    for picture, named, taken, top in rows:
        if top not in named:
            both = "/".join(sorted(named)), ", ".join(sorted(taken))
            print(f"  picture {picture}: named {both[0]}, judged {top}, taken for {both[1]}")


def _judged(folder: Path) -> Iterator[Row]:
    """Judge each thing that was named, among all things of its picture."""
    truth = json.loads((folder / "instances.json").read_text())
    kinds = {one["id"]: one["name"] for one in truth["categories"]}
    files = {one["id"]: one["file_name"] for one in truth["images"]}
    with (Path(__file__).parent / "aerial_vhr10_colours.csv").open() as lines:
        named = [
            (int(row["picture"]), tuple(map(int, list(row.values())[1:5])), row["colour"])
            for row in csv.DictReader(lines)
        ]
    for picture in dict.fromkeys(number for number, _, _ in named):
        image = read_image(folder / "images" / files[picture])
        things = [one for one in truth["annotations"] if one["image_id"] == picture]
        boxes = [tuple(map(round, one["bbox"])) for one in things]
        seen = []
        for (x, y, width, height), one in zip(boxes, things, strict=True):
            box = (float(x), float(y), min(x + width, image.frame.width), min(y + height, image.frame.height))
            seen.append(as_candidate(image, Detection(box, 1.0, kinds[one["category_id"]])))
        scene = Scene.of(seen, image.frame)
        for number, box, colour in named:
            if number == picture:
                index = boxes.index(box)
                taken = {name for name in COLOURS if scene.has_colours(index, [name], any_of=True)}
                yield picture, set(colour.split("/")), taken, next(iter(seen[index].colours))


if __name__ == "__main__":
    main()
