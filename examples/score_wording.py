"""Say how much of real referring expressions the phrases read, and whether the true thing is what they choose.

The data are the folders ``aerial_referring`` (expressions with pictures and masks) and ``grounding_text`` (expressions
with one box each, no pictures). The truth's things are the candidates: the pieces of the mask, or the box.

- *read whole*: nothing was left over as not understood, and no word was passed over.
- *named*: something was not understood, and is named; a user is told which word it was.
- *lost*: a word that says something is in nothing that was read and is not named either. This must be 0.
- *right*: of those read whole, the part whose words of place, size, number and (with a picture) colour choose all true
  things and nothing else. Relations are left out here, because the truth has no boxes of what they refer to.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import find_objects, label

from fiducial.geometry import Frame, Prompt
from fiducial.images import read_image
from fiducial.language.candidates import Candidate
from fiducial.language.phrases import Request, Target, parse_instruction, resolve, same_noun
from fiducial.language.phrases.lexicon import PLACE_NOUNS, sides_of
from fiducial.language.phrases.nouns import name_stem, word_set
from fiducial.prompters.detector.prompter import as_candidate
from fiducial.prompters.detector.reading import Detection

NAMES = {
    "car": "car, vehicle, small vehicle, auto, automobile, small car, little car, small auto, small automobile",
    "truck": "truck, vehicle, large vehicle, bus, large truck, big truck, auto, automobile",
    "ship": "ship, boat, vessel, watercraft",
    "harbor": "harbor, marina, dock, pier, boat dock, boat basin",
    "airplane": "airplane, plane, aircraft",
    "baseball diamond": "baseball diamond, baseball field, ball field, ballfield, diamond, sports field, court, field",
    "soccer field": "soccer field, soccer ball field, sports field, grass sports field, field",
    "basketball court": "basketball court, court",
    "tennis court": "tennis court, court",
    "storage tank": "storage tank, tank",
    "bridge": "bridge",
}
"""Names of a thing, as the expressions use them; a name that is not listed is its own."""
OTHERS = (
    "building, road, roundabout, field, container, photovoltaic panel, swimming pool, athletic field, badminton court, "
    "power line pylon, pylon, wind turbine, road crossing, river, chimney, airport runway, area, train, patch"
)
EMPTY = word_set(
    "a an all every the this that these those which who is are it its and or of to in on at by from with as for s "
    "there one up located situated positioned placed found visible lies sits sitting parked docked appears only just "
    "also please specifically slightly directly including different similar other second several painted color colored "
    "colour hue shade coloration coloring appearance toned side"
)
"""Words that may be left out of a sentence without another reading: by themselves they say nothing."""
_IMAGE = re.compile(r"\b(?:of|in|on) the (?:image|picture|view|frame|map)\b")
_FAR = ("far", "furthest", "farthest", "extreme", "very")
SMALLEST = 4
"""Pieces of a mask below this many pixels are crumbs."""


@dataclass(frozen=True)
class Sample:
    """One expression and the things that it means; ``seen`` where they were measured in a picture."""

    text: str
    frame: Frame
    things: tuple[Candidate, ...]
    seen: bool


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that DATA stands for")
    parser.add_argument("--show", action="store_true", help="print every expression that was not read whole and right")
    arguments = parser.parse_args()
    for name, samples in (
        ("aerial_referring", list(_referring(arguments.data / "aerial_referring"))),
        ("grounding_text", list(_grounding(arguments.data / "grounding_text"))),
    ):
        _report(name, samples, show=arguments.show)


def _report(name: str, samples: Sequence[Sample], *, show: bool) -> None:
    counts, named = Counter[str](), Counter[str]()
    for sample in samples:
        request = parse_instruction(sample.text)
        unknown, lost = _left_over(request, sample), _lost(request)
        kind = "lost" if lost else "named" if unknown else "whole"
        right = kind == "whole" and bool(sample.things) and _chosen(request, sample) == len(sample.things)
        counts[kind] += 1
        counts["told"] += kind == "whole" and bool(sample.things)
        counts["right"] += right
        named.update(unknown)
        if show and (kind != "whole" or (sample.things and not right)):
            print(f"{kind if kind != 'whole' else 'wrong'}: {sample.text} {[*unknown, *lost]}")
    share = 100 * counts["whole"] / len(samples)
    print(
        f"{name}: {len(samples)} expressions, {counts['whole']} read whole ({share:.1f} %), {counts['named']} named, ",
        end="",
    )
    print(f"{counts['lost']} with a word lost; {counts['right']} of {counts['told']} read whole choose the true things")
    print("  named most:", ", ".join(f"{words} ({number})" for words, number in named.most_common(12)))


# -- what was read ---------------------------------------------------------------------------------------


def _left_over(request: Request, sample: Sample) -> tuple[str, ...]:
    """Return what was not understood: by the grammar, and of the noun of what is asked for."""
    if not sample.things:
        return request.unknown
    asked = replace(request, targets=tuple(map(_by_itself, request.targets)))
    found = resolve(asked, sample.things, sample.frame, match=_is_called)
    return tuple(dict.fromkeys((*request.unknown, *found.unknown)))


def _lost(request: Request) -> list[str]:
    """Return the words without which the same would be read, and which are neither empty nor named."""
    named = {word for words in request.unknown for word in words.split()}
    words = _IMAGE.sub("", request.text.lower()).replace(",", " , ").split()
    whole, lost = _meaning(request), list[str]()
    ordered = {side for one in request.targets for order in one.orders for side in order.sides}
    for index, word in enumerate(words):
        plain = word.strip(".?!")
        again = plain in _FAR or (plain in ("grouped", "together") and "grouped together" in request.text)
        if again or (sides_of(plain) and {*sides_of(plain)} <= ordered):  # "the bottommost in the bottom center"
            continue
        if {*re.findall(r"\w+", plain)} <= named | EMPTY | PLACE_NOUNS:
            continue
        if _meaning(parse_instruction(" ".join([*words[:index], *words[index + 1 :]]) or "x")) == whole:
            lost.append(plain)
    return lost


def _meaning(read: object) -> object:
    """Return a request without its wording."""
    if is_dataclass(read):
        kept = [one.name for one in fields(read) if one.name not in ("words", "text", "unknown", "strays", "compounds")]
        return tuple(_meaning(getattr(read, name)) for name in kept)
    return tuple(map(_meaning, read)) if isinstance(read, tuple) else read


def _by_itself(target: Target) -> Target:
    """Leave out what cannot be told among the true things alone: relations, and vague sizes, which compare."""
    inner = None if target.of is None else _by_itself(target.of)
    return replace(
        target,
        relations=(),
        traits=tuple(one for one in target.traits if one.order.measure == "brightness"),
        compounds=tuple(map(_by_itself, target.compounds)),
        of=inner,
    )


def _chosen(request: Request, sample: Sample) -> int:
    """Return how many of the true things are chosen, by all but relations and what only a picture would tell."""
    targets = tuple(_by_itself(target) for target in request.targets)
    if not sample.seen:
        targets = tuple(map(_unseen, targets))
    asked = replace(request, targets=targets)
    return len(resolve(asked, sample.things, sample.frame, match=_is_called).chosen)


def _unseen(target: Target) -> Target:
    return replace(
        target,
        colours=(),
        orders=tuple(order for order in target.orders if order.measure != "brightness"),
        traits=tuple(trait for trait in target.traits if trait.order.measure != "brightness"),
        compounds=tuple(map(_unseen, target.compounds)),
    )


def _is_called(noun: str, called: str | None) -> bool:
    names = NAMES.get(called or "", called or "").split(", ")
    return name_stem(noun) in map(name_stem, names) or same_noun(noun, called)


# -- the data --------------------------------------------------------------------------------------------


def _called(text: str) -> str:
    """Return the kind of thing that an expression begins with: the name that begins first, the longest of equals."""
    plain = " " + re.sub(r"[^a-z ]", " ", text.lower()) + " "
    found = []
    for kind, names in {**NAMES, **{name: name for name in OTHERS.split(", ")}}.items():
        for name in names.split(", "):
            at = re.search(rf" {name}(?:e?s)? ", plain)
            found += [(at.start(), -len(name), kind)] if at else []
    return min(found)[2]


def _referring(folder: Path) -> Iterator[Sample]:
    for row in json.loads((folder / "manifest.json").read_text()):
        image = read_image(folder / "images" / row["image"])
        mask = np.asarray(read_image(folder / "masks" / row["mask"]).pixels)[..., 0] > 127
        pieces, _ = label(mask, np.ones((3, 3)))
        things = []
        for number, (rows, columns) in enumerate(find_objects(pieces), 1):
            if (pieces[rows, columns] == number).sum() >= SMALLEST:
                box = (float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))
                things.append(as_candidate(image, Detection(box, 1.0, _called(row["expression"]))))
        yield Sample(row["expression"], image.frame, tuple(things), seen=True)


def _grounding(folder: Path) -> Iterator[Sample]:
    frame, seen = Frame.pixels(480, 480), set[tuple[str, str]]()
    for row in json.loads((folder / "aeriald_llm_expressions.json").read_text()):
        said = [text for one in row["expressions"] for text in (one["original"], *one["enhanced"])]
        kind = _called(
            row["expressions"][0]["original"].replace("small vehicle", "car").replace("large vehicle", "truck")
        )
        thing = Candidate(Prompt(frame, box=tuple(map(float, row["bbox_xyxy_480"])), label=kind))
        for text in (*said, *row["unique_expressions"]):
            if (row["image_id"], text) not in seen:
                seen.add((row["image_id"], text))
                yield Sample(text, frame, (thing,), seen=False)


if __name__ == "__main__":
    main()
