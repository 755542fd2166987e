"""Items: targets as a reply names them, whatever the keys, before anybody asks where they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fiducial.language.dialects.keys import (
    CENTRED,
    COORDINATES,
    CORNERS,
    LABEL_KEYS,
    NAMING_KEYS,
    ORDER_WORDS,
    SCORE_KEYS,
    SIZED,
    WRAPPERS,
    Role,
    plain_key,
    role_of,
)
from fiducial.language.dialects.nothing import says_nothing
from fiducial.language.dialects.points import PointReader
from fiducial.language.dialects.replies import MAX_RESCANS, Notes, clean, clean_label
from fiducial.language.dialects.shapes import (
    Numbers,
    Order,
    box_of,
    corners_of,
    named_box,
    number,
    outlines_of,
    point_of,
    x_first,
)
from fiducial.language.dialects.values import CutDictionary, CutList, read_values

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Item:
    """One target as it was written, in the reply's own numbers: the box x1, y1, x2, y2 perhaps with swapped corners."""

    box: Numbers | None = None
    points: tuple[Numbers, ...] = ()
    point_labels: tuple[int, ...] = ()
    label: str | None = None
    score: float | None = None


class Collector:
    """Walks through values and gathers the targets in them.

    Whatever is not quite the form is noted, and what cannot be used is counted.

    Args:
        notes: where repairs are noted.
        order: which comes first where a list holds coordinates.
        points: whether two bare numbers are a point.
        keys: the keys of the form, letter by letter; others are noted. None: the form has no dictionaries.
        named: whether targets are named by their keys somewhere in the reply: then bare numbers under other keys are
            something else.
    """

    def __init__(
        self,
        notes: Notes,
        *,
        order: Order = "xy",
        points: bool = True,
        keys: frozenset[str] | None = None,
        named: bool = False,
    ) -> None:
        self._notes = notes
        self._keys = keys
        self._order: Order = order
        self._points = points
        self._named = named
        self._point_reader = PointReader(notes, order)
        self._unwraps = 0
        self.items: list[Item] = []
        self.empty = 0
        """How many lists or dictionaries say plainly that there is nothing."""
        self.spoilt = 0
        """How many targets could not be read."""
        self.other_keys: set[str] = set()
        """Keys of targets that the form does not have, as written."""

    def walk(self, value: Any, label: str | None = None) -> None:
        """Gather the targets of one value; its depth is bounded by the reader."""
        if isinstance(value, dict):
            self._dictionary({plain_key(key): content for key, content in value.items()}, value, label)
        elif isinstance(value, list):
            self._list(value, label)
        elif value is None and label is not None:
            self.empty += 1

    def _dictionary(self, fields: dict[str, Any], value: dict[str, Any], label: str | None) -> None:
        if not fields:
            if not isinstance(value, CutDictionary):
                self.empty += 1
            return
        if not _is_target(fields):
            self._around(fields, label)
            return
        if isinstance(value, CutDictionary):
            self._notes.add("an item that broke off was dropped")
            return
        used = self._target(fields, label)
        if self._keys is None:
            self._notes.add("objects with keys")
            for key in value:
                if role_of(plain_key(key)).order and plain_key(key) in used:
                    self._notes.add(f"key {clean(key, 40)!r} read as {used[plain_key(key)]}")
            return
        for key in value:
            if key not in self._keys:
                self.other_keys.add(key)
                role = used.get(plain_key(key))
                self._notes.add(f"key {clean(key, 40)!r} {f'read as {role}' if role else 'left out'}")

    def _around(self, fields: dict[str, Any], label: str | None) -> None:
        """Walk through what stands around targets: its values may hold them."""
        own = _first(fields, NAMING_KEYS, clean_label)
        for key, content in fields.items():
            content = self._unwrapped(key, content)
            if key in WRAPPERS and (content is None or (isinstance(content, str) and says_nothing(content))):
                self.empty += 1
            if not isinstance(content, list | dict):
                continue
            targets = has_targets(content)
            bare = bool(content) and not targets and key not in WRAPPERS
            if bare and (role_of(key).kind == "size" or self._named or own is not None):
                self._notes.add(f"key {clean(key, 40)!r} left out")
                if own is not None and not self._named and role_of(key).kind != "size":
                    self._spoil("an item without coordinates under a known key was dropped")
                continue
            self._notes.add(f"what stands under the key {clean(key, 40)!r}")
            self.walk(content, self._name_of(key, content, label) if own is None else own)

    def _unwrapped(self, key: str, content: Any) -> Any:
        """Read JSON in a string, as calls of tools hold it; what is called something is only text."""
        wraps = isinstance(content, str) and content.lstrip().startswith(("[", "{", "```"))
        if not wraps or key in LABEL_KEYS or self._unwraps >= MAX_RESCANS:
            return content
        self._unwraps += 1
        self._notes.add("escaped quotation marks")
        return [inner.data for inner in read_values(content, self._notes).values]

    def _name_of(self, key: str, content: Any, label: str | None) -> str | None:
        """Take a key as the label of the numbers below it, unless it is a word for a list of answers."""
        if key in WRAPPERS or key in LABEL_KEYS or not isinstance(content, list):
            return label
        return clean_label(key)

    def _target(self, fields: dict[str, Any], label: str | None) -> dict[str, str]:
        """Gather one target and return which keys were read, and as what."""
        used: dict[str, str] = {}
        empty_before = self.empty
        roles = {key: _role(key, content) for key, content in fields.items()}
        if str(fields.get("shape_type")).lower() in ("polygon", "rectangle") and "points" in fields:
            roles["points"] = Role("box" if fields["shape_type"] == "rectangle" else "outline")
        boxes = [box for key, role in roles.items() for box in self._boxes_under(key, fields[key], role, used)]
        if not boxes and (own := named_box(fields, self._order)):
            boxes = [own[0]]
            self._notes.add(own[2])
            used |= dict.fromkeys(own[1], "a coordinate")
        for key, role in roles.items():
            if role.kind == "outline" and not boxes and (found := outlines_of(fields[key], self._order)):
                boxes = found if role.several else [bounding_of(found)]
                used[key] = "an outline"
                self._notes.add("an outline became its bounding box")
        points, kinds = self._point_reader.read(fields, roles, used, boxed=bool(boxes))
        calls = (key for key in LABEL_KEYS if key in fields and key not in used)
        called = next((key for key in calls if clean_label(fields[key]) is not None), None)
        named = None if called is None else clean_label(fields[called])
        used |= {} if called is None else {called: "a label"}
        score = self._score(fields, used)
        label = named or label
        if boxes or points:
            self.items.append(Item(boxes[0] if boxes else None, tuple(points), tuple(kinds), label, score))
        elif self.empty == empty_before:
            self._spoil("an item without readable coordinates was dropped")
        if len(boxes) > 1:  # points belong to the first
            self._notes.add("several boxes in one item")
            self.items += [Item(box=box, label=label, score=score) for box in boxes[1:]]
        return used

    def _score(self, fields: dict[str, Any], used: dict[str, str]) -> float | None:
        for key in SCORE_KEYS:
            written = fields.get(key)
            text = written.strip() if isinstance(written, str) else ""
            percent = text.endswith("%")
            score = number(text.strip(" %") if percent else written)
            if score is None:
                continue
            if percent or 10 < score <= 100:  # 7 may be of ten
                self._notes.add("scores in percent")
                score /= 100
            if 0 <= score <= 1:
                used[key] = "a score"
                return score
        return None

    def _boxes_under(self, key: str, content: Any, role: Role, used: dict[str, str]) -> list[Numbers]:
        if role.kind != "box":
            return []
        found = list(self._boxes(content, role.order or ("xyxy" if self._order == "xy" else "yxyx")))
        if found:
            used[key] = f"a box {ORDER_WORDS[role.order]}" if role.order else "a box"
        return found

    def _boxes(self, content: Any, order: str) -> Iterator[Numbers]:
        """Read what stands under a box key: one box however written, or several."""
        if isinstance(content, dict):
            fields = {plain_key(key): part for key, part in content.items()}
            box = named_box(fields, self._order)
            inner = [part for key, part in fields.items() if role_of(key).kind == "box"]
            if box is not None:
                self._notes.add(box[2])
                yield box[0]
            elif inner:
                yield from self._boxes(inner[0], order)
            else:
                self._spoil("a box without readable corners was dropped")
        elif isinstance(content, str):
            numbers = content.strip(" []()").replace(",", " ").split()[:16]
            if says_nothing(content):
                self.empty += 1
            elif sum(number(part) is not None for part in numbers) > 1:  # "on the left" is a place in words
                self._notes.add("coordinates in a string")
                yield from self._boxes(numbers, order)
        elif isinstance(content, list):
            yield from self._boxes_of_list(content, order)
        elif content is None:
            self.empty += 1

    def _boxes_of_list(self, content: list[Any], order: str) -> Iterator[Numbers]:
        if all(part is None for part in content):
            self.empty += 1
        elif all(isinstance(part, list | dict) for part in content):
            corners = corners_of(content)
            outline = None if corners or isinstance(content, CutList) else outlines_of(content, self._order)
            if corners:
                self._notes.add("a box written as two corners")
                yield x_first(corners, self._order)
            elif outline and len(outline) == 1:
                self._notes.add("an outline became its bounding box")
                yield outline[0]
            else:
                if len(content) == 1:
                    self._notes.add("too many brackets around a box")
                for part in content:
                    yield from self._boxes(part, order)
        elif len(content) == 8 and (outline := outlines_of(content, self._order)):
            self._notes.add("an outline became its bounding box")
            yield outline[0]
        else:
            box = self._four(content, order)
            if box:
                yield box

    def _four(self, content: list[Any], order: str = "") -> Numbers | None:
        if len(content) != 4 or any(isinstance(part, list | dict) for part in content):
            self._spoil(f"{len(content)} numbers where a box needs 4: dropped")
            return None
        numbers = self._point_reader.numbers_of(content)
        if numbers is None:
            self._spoil("a box with something else than numbers was dropped")
            return None
        return box_of(numbers, order or ("xyxy" if self._order == "xy" else "yxyx"))

    def _list(self, value: list[Any], label: str | None) -> None:
        if not value:
            if not isinstance(value, CutList):
                self.empty += 1
            return
        if any(isinstance(part, list | dict) for part in value):
            self._nested(value, label)
            return
        words = [part for part in value if isinstance(part, str) and number(part) is None]
        rest = [part for part in value if not isinstance(part, str) or number(part) is not None]
        if isinstance(value, CutList):
            self._notes.add("an item that broke off was dropped")
        elif all(part is None for part in value):
            self.empty += 1
        elif len(words) < len(value):
            self._numbers(rest, label if len(words) != 1 else clean_label(words[0]))

    def _nested(self, value: list[Any], label: str | None) -> None:
        corners = corners_of(value)
        if corners and not isinstance(value, CutList):
            self._notes.add("a box written as two corners")
            self.items.append(Item(box=x_first(corners, self._order), label=label))
            return
        if any(number(part) is not None for part in value):
            self._broken_brackets(value, label)
            return
        names = [part for part in value if isinstance(part, str)]
        if len(value) == 2 and names:
            label = clean_label(names[0])
        for part in value:
            if isinstance(part, list | dict):
                self.walk(part, label)

    def _broken_brackets(self, value: list[Any], label: str | None) -> None:
        """Read [1, 2, 3, [4]], a box with brackets too many."""
        flat = [inner for part in value for inner in (part if isinstance(part, list) else [part])]
        numbers = self._point_reader.numbers_of(flat)
        if len(flat) == 4 and numbers is not None and not isinstance(value, CutList):
            self._notes.add("too many brackets around a box")
            self.items.append(Item(x_first(numbers, self._order), label=label))
            return
        self._spoil("a list of numbers and lists was dropped")
        for part in value:
            if isinstance(part, list | dict):
                self.walk(part, label)

    def _numbers(self, value: list[Any], label: str | None) -> None:
        """Read a list of bare numbers: a box, or a point where points are spoken."""
        if len(value) == 2 and self._points:
            point = self._point_reader.numbers_of(value)
            if point is not None:
                self._notes.add("two bare numbers read as a point")
                self.items.append(Item(points=(x_first(point, self._order),), point_labels=(1,), label=label))
            return
        if len(value) < 3 or not any(number(part) is not None for part in value):
            return  # a footnote such as [1], a range such as [0, 1]
        box = self._four(value)
        if box:
            if self._keys is not None:
                self._notes.add("bare numbers read as a box")
            self.items.append(Item(box=box, label=label))

    def _spoil(self, why: str) -> None:
        self.spoilt += 1
        self._notes.add(why)


def has_targets(value: Any) -> bool:
    """Say whether a value holds at least one dictionary that names coordinates."""
    if isinstance(value, dict):
        return _is_target({plain_key(key): content for key, content in value.items()}) or any(
            map(has_targets, value.values())
        )
    return isinstance(value, list) and any(map(has_targets, value))


def bounding_of(found: Sequence[Numbers]) -> Numbers:
    """Return the box around all parts of one outline."""
    lefts, tops, rights, bottoms = zip(*found, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _is_target(fields: dict[str, Any]) -> bool:
    for key, content in fields.items():
        kind = role_of(key).kind
        if kind in ("point", "negative"):
            return True
        # {"boxes": [{...}, {...}]} is a list of items, not a box
        if kind == "box" and not (isinstance(content, list) and any(isinstance(part, dict) for part in content)):
            return True
        if kind == "outline" and (isinstance(content, CutList) or outlines_of(content, "xy")):
            return True
    if COORDINATES.isdisjoint(fields):
        return False
    names = any({*names} <= fields.keys() for names in (*CORNERS, *SIZED, *CENTRED, ("x", "y")))
    return names or named_box(fields, "xy") is not None


def _role(key: str, content: Any) -> Role:
    """Return the role of a key, a point's where a word that serves for both holds two numbers."""
    role = role_of(key)
    pair = role.either and point_of(content, "xy") is not None and (isinstance(content, list) or len(content) == 2)
    return Role("point") if pair else role


def _first(fields: dict[str, Any], names: tuple[str, ...], read: Callable[[object], T | None]) -> T | None:
    return next((found for name in names if name in fields and (found := read(fields[name])) is not None), None)
