"""Requests in one line of text each, for tests."""

from __future__ import annotations

from fiducial.language.phrases import Request, Target


def outline(target: Target) -> str:
    number = target.quantifier.value if target.count is None else f"{target.quantifier.value} {target.count}"
    parts = [f"{number}: {' '.join(target.noun) or '*'}"]
    parts += [f"rank {target.rank}"] if target.ranked else []
    parts += [f"by {order.words}" for order in target.orders]
    parts += [("|" if target.any_colour else "&").join(target.colours)] if target.colours else []
    parts += [trait.words for trait in target.traits]
    for region in target.regions:
        places = "|".join("-".join(place) for place in region.places)
        parts.append(f"in {places}{' half' if region.share == 0.5 else ''}")
    parts += [f"{one.kind}({'; '.join(map(outline, one.targets))})" for one in target.relations]
    parts += [f"of({outline(target.of)})"] if target.of else []
    return ", ".join(parts)


def outline_all(request: Request) -> str:
    left_out = "".join(f" - {outline(target)}" for target in request.exclusions)
    return " + ".join(map(outline, request.targets)) + left_out
