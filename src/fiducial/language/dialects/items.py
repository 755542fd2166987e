"""Items: targets as a reply names them, whatever the keys, before anybody asks where they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from fiducial.language.dialects.replies import MAX_NUMBER, MAX_POINTS, MAX_RESCANS, Notes, clean, clean_label
from fiducial.language.dialects.values import CutDictionary, CutList, read_values

Order = Literal["xy", "yx"]
T = TypeVar("T")

# the words by which models call things, compared in small letters with underscores
BOX_KEYS = frozenset(
    {
        *("bbox_2d", "box_2d", "bbox", "box", "boxes", "bboxes", "boxes_2d", "bboxes_2d", "bound_box"),
        *("bounding_box", "bounding_boxes", "boundingbox", "bounding_box_2d", "boundingbox_2d", "xyxy", "rect"),
        *("coordinates", "coordinate", "coords", "rectangle", "region", "location", "position", "边界框", "坐标"),
    }
)
EITHER_KEYS = frozenset({"coordinates", "coordinate", "coords", "location", "position"})
"""Box keys that hold a point when there are two numbers."""
POSITIVE_KEYS = frozenset(
    {
        *("positive_points", "positive_point", "pos_points", "points", "point", "points_2d", "point_2d"),
        *("keypoints", "key_points", "center", "centre", "点"),
        *(f"{name}_{number}" for name in ("points", "point") for number in range(1, 5)),
    }
)
NEGATIVE_KEYS = frozenset({"negative_points", "negative_point", "neg_points", "background_points"})
LABEL_KEYS = (
    *("label", "labels", "class", "class_name", "name", "object", "object_name", "category", "phrase", "caption"),
    *("description", "title", "text_content", "text", "标签", "类别"),
)
"""In the order in which they are asked for."""
SCORE_KEYS = ("score", "confidence", "conf", "probability", "prob")
CORNERS = (
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
    ("x0", "y0", "x1", "y1"),
)
SIZED = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
"""A corner, then width and height."""
WRAPPERS = frozenset(
    {
        *("objects", "detections", "items", "results", "result", "answer", "instances", "predictions", "data"),
        *("output", "targets"),
    }
)
"""Words for a list of targets, which are no labels."""


@dataclass(frozen=True, slots=True)
class Item:
    """One target as it was written, in the reply's own numbers: the box x1, y1, x2, y2 perhaps with swapped corners."""

    box: tuple[float, ...] | None = None
    points: tuple[tuple[float, ...], ...] = ()
    point_labels: tuple[int, ...] = ()
    label: str | None = None
    score: float | None = None


def number(value: object) -> float | None:
    """Return a value as a number, also when it was written as a string; None when it is none."""
    if isinstance(value, str) and len(value) <= MAX_NUMBER:
        try:
            return float(value.strip().removesuffix("px"))
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


class Collector:
    """Walks through values and gathers the targets in them.

    Whatever is not quite the form is noted, and what cannot be used is counted.

    Args:
        notes: where repairs are noted.
        order: which comes first where a list holds coordinates.
        points: whether two bare numbers are a point.
        keys: the keys of the form, letter by letter; others are noted. None: the form has no dictionaries.
    """

    def __init__(
        self, notes: Notes, *, order: Order = "xy", points: bool = True, keys: frozenset[str] | None = None
    ) -> None:
        self._notes = notes
        self._keys = keys
        self._order = order
        self._points = points
        self._unwraps = 0
        self.items: list[Item] = []
        self.empty = 0
        """How many lists or dictionaries say plainly that there is nothing."""
        self.spoilt = 0
        """How many targets could not be read."""

    def walk(self, value: Any, label: str | None = None) -> None:
        """Gather the targets of one value; its depth is bounded by the reader."""
        if isinstance(value, dict):
            self._dictionary({_key(key): content for key, content in value.items()}, value, label)
        elif isinstance(value, list):
            self._list(value, label)
        elif value is None and label is not None:
            self.empty += 1

    def _dictionary(self, fields: dict[str, Any], value: dict[str, Any], label: str | None) -> None:
        if not fields:
            if not isinstance(value, CutDictionary):
                self.empty += 1
            return
        if not _is_target(fields):  # what stands around targets: its values may hold them
            for key, content in fields.items():
                self._notes.add(f"what stands under the key {clean(key, 40)!r}")
                content = self._unwrapped(key, content)
                self.walk(content, self._name_of(key, content, label))
            return
        if isinstance(value, CutDictionary):
            self._notes.add("an item that broke off was dropped")
            return
        if self._keys is None:
            self._notes.add("objects with keys")
        else:
            for key in value:
                if key not in self._keys:
                    role = _role(_key(key))
                    self._notes.add(f"key {clean(key, 40)!r} {f'read as {role}' if role else 'left out'}")
        named = _first(fields, LABEL_KEYS, clean_label) or label
        self._target(fields, named, _first(fields, SCORE_KEYS, _share))

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

    def _target(self, fields: dict[str, Any], label: str | None, score: float | None) -> None:
        fields = {"point" if _is_pair(key, content) else key: content for key, content in fields.items()}
        empty_before = self.empty
        boxes = [box for key, content in fields.items() if key in BOX_KEYS for box in self._boxes(content)]
        own = _named_box(fields, self._notes)  # corners that stand in the item itself
        if own and not any(key in BOX_KEYS for key in fields):
            boxes.append(own)
        points, kinds = self._all_points(fields)
        if boxes or points:
            self.items.append(Item(boxes[0] if boxes else None, tuple(points), tuple(kinds), label, score))
        elif self.empty == empty_before:
            self._spoil("an item without readable coordinates was dropped")
        if len(boxes) > 1:  # points belong to the first
            self._notes.add("several boxes in one item")
            self.items += [Item(box=box, label=label, score=score) for box in boxes[1:]]

    def _boxes(self, content: Any) -> Iterator[tuple[float, ...]]:
        """Read what stands under a box key: one box however written, or several."""
        if isinstance(content, dict):
            box = _named_box({_key(key): part for key, part in content.items()}, self._notes)
            if box is None:
                self._spoil("a box without readable corners was dropped")
            else:
                yield box
        elif isinstance(content, str):
            self._notes.add("coordinates in a string")
            yield from self._boxes(content.strip(" []()").replace(",", " ").split()[:16])
        elif isinstance(content, list):
            yield from self._boxes_of_list(content)
        elif content is None:
            self.empty += 1

    def _boxes_of_list(self, content: list[Any]) -> Iterator[tuple[float, ...]]:
        if not content:
            self.empty += 1
        elif all(isinstance(part, list) for part in content):
            corners = _corners(content)
            if corners:
                self._notes.add("a box written as two corners")
                yield self._ordered(corners)
                return
            if len(content) == 1:
                self._notes.add("too many brackets around a box")
            for part in content:
                yield from self._boxes(part)
        else:
            box = self._four(content)
            if box:
                yield box

    def _four(self, content: list[Any]) -> tuple[float, ...] | None:
        if len(content) != 4 or any(isinstance(part, list | dict) for part in content):
            self._spoil(f"{len(content)} numbers where a box needs 4: dropped")
            return None
        numbers = self._numbers_of(content)
        if numbers is None:
            self._spoil("a box with something else than numbers was dropped")
        return self._ordered(numbers) if numbers is not None else None

    def _all_points(self, fields: dict[str, Any]) -> tuple[list[tuple[float, ...]], list[int]]:
        points: list[tuple[float, ...]] = []
        kinds: list[int] = []
        for key, content in fields.items():
            if key in POSITIVE_KEYS or key in NEGATIVE_KEYS:
                new = list(self._points_of(content))[: MAX_POINTS - len(points)]
                points += new
                kinds += [1 if key in POSITIVE_KEYS else 0] * len(new)
        if not points and {"x", "y"} <= fields.keys() and not any(key in BOX_KEYS for key in fields):
            point = self._numbers_of([fields["x"], fields["y"]])
            if point is not None and _named_box(fields, None) is None:
                return [tuple(point)], [1]
        return points, kinds

    def _points_of(self, content: Any) -> Iterator[tuple[float, ...]]:
        if isinstance(content, dict):
            content = [content.get(name) for name in self._order]
        if isinstance(content, str):
            self._notes.add("coordinates in a string")
            content = content.strip(" []()").replace(",", " ").split()[:16]
        if not isinstance(content, list) or not content:
            return
        if any(isinstance(part, list | dict) for part in content):
            for part in content:
                yield from self._points_of(part if isinstance(part, list | dict) else [part])
            return
        numbers = self._numbers_of(content)
        if numbers is None or len(numbers) % 2 or isinstance(content, CutList):
            self._notes.add("a point without two numbers was dropped")
            return
        if len(numbers) > 2:
            self._notes.add("points in one flat list")
        yield from (self._ordered(numbers[i : i + 2]) for i in range(0, len(numbers), 2))

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
        elif len(words) < len(value):
            self._numbers(rest, label if len(words) != 1 else clean_label(words[0]))
        elif all(part is None for part in value):
            self.empty += 1

    def _nested(self, value: list[Any], label: str | None) -> None:
        corners = _corners(value)
        if corners and not isinstance(value, CutList):
            self._notes.add("a box written as two corners")
            self.items.append(Item(box=self._ordered(corners), label=label))
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
        numbers = self._numbers_of(flat)
        if len(flat) == 4 and numbers is not None and not isinstance(value, CutList):
            self._notes.add("too many brackets around a box")
            self.items.append(Item(self._ordered(numbers), label=label))
            return
        self._spoil("a list of numbers and lists was dropped")
        for part in value:
            if isinstance(part, list | dict):
                self.walk(part, label)

    def _numbers(self, value: list[Any], label: str | None) -> None:
        """Read a list of bare numbers: a box, or a point where points are spoken."""
        if len(value) == 2 and self._points:
            point = self._numbers_of(value)
            if point is not None:
                self._notes.add("two bare numbers read as a point")
                self.items.append(Item(points=(self._ordered(point),), point_labels=(1,), label=label))
            return
        if len(value) < 3 or not any(number(part) is not None for part in value):
            return  # a footnote such as [1], a range such as [0, 1]
        box = self._four(value)
        if box:
            if self._keys is not None:
                self._notes.add("bare numbers read as a box")
            self.items.append(Item(box=box, label=label))

    def _numbers_of(self, values: Sequence[Any]) -> list[float] | None:
        """Return values as numbers, None where one is none, and note those that were written as strings."""
        numbers = [number(value) for value in values]
        if any(isinstance(value, str) and known is not None for value, known in zip(values, numbers, strict=True)):
            self._notes.add("numbers written as strings")
        known = [value for value in numbers if value is not None]
        return known if len(known) == len(values) else None

    def _ordered(self, values: Sequence[float]) -> tuple[float, ...]:
        return x_first(values, self._order)

    def _spoil(self, why: str) -> None:
        self.spoilt += 1
        self._notes.add(why)


def x_first(values: Sequence[T], order: Order) -> tuple[T, ...]:
    """Return the numbers of a box or point with each x before its y, or turn them back."""
    return tuple(values) if order == "xy" else tuple(values[i ^ 1] for i in range(len(values)))


def has_targets(value: Any) -> bool:
    """Say whether a value holds at least one dictionary that names coordinates."""
    if isinstance(value, dict):
        return _is_target({_key(key): content for key, content in value.items()}) or any(
            map(has_targets, value.values())
        )
    return isinstance(value, list) and any(map(has_targets, value))


def _is_target(fields: dict[str, Any]) -> bool:
    if any(key in POSITIVE_KEYS or key in NEGATIVE_KEYS for key in fields):
        return True
    for key, content in fields.items():
        # {"boxes": [{...}, {...}]} is a list of items, not a box
        if key in BOX_KEYS and not (isinstance(content, list) and any(isinstance(part, dict) for part in content)):
            return True
    return any({*names} <= fields.keys() for names in (*CORNERS, *SIZED, ("x", "y")))


def _is_pair(key: str, content: Any) -> bool:
    """Tell a point from a box under a key that serves for both, such as "coordinates"."""
    return key in EITHER_KEYS and isinstance(content, list) and len(content) == 2 and number(content[0]) is not None


def _named_box(fields: dict[str, Any], notes: Notes | None) -> tuple[float, ...] | None:
    for names in (*CORNERS, *SIZED):
        values = [number(fields.get(name)) for name in names]
        if None in values:
            continue
        a, b, c, d = (value for value in values if value is not None)
        if notes is not None:
            notes.add("a box with named corners" if names in CORNERS else "a box as corner, width and height")
        return (a, b, c, d) if names in CORNERS else (a, b, a + c, b + d)
    return None


def _corners(content: list[Any]) -> tuple[float, ...] | None:
    """Read [[x1, y1], [x2, y2]]."""
    if len(content) != 2 or not all(isinstance(part, list) and len(part) == 2 for part in content):
        return None
    values = [number(part) for corner in content for part in corner]
    return None if None in values else tuple(value for value in values if value is not None)


def _key(key: str) -> str:
    return key.strip().lower().replace("-", "_").replace(" ", "_")


def _role(key: str) -> str:
    """Say what a key is read as, or nothing where nobody reads it."""
    roles = ((BOX_KEYS, "a box"), (POSITIVE_KEYS | NEGATIVE_KEYS, "points"), (LABEL_KEYS, "a label"))
    named = next((role for keys, role in roles if key in keys), "")
    corners = any(key in names for names in (*CORNERS, *SIZED))
    return named or ("a score" if key in SCORE_KEYS else "a coordinate" if corners else "")


def _share(value: object) -> float | None:
    share = number(value)
    return share if share is not None and 0 <= share <= 1 else None


def _first(fields: dict[str, Any], names: tuple[str, ...], read: Callable[[object], T | None]) -> T | None:
    return next((found for name in names if name in fields and (found := read(fields[name])) is not None), None)
