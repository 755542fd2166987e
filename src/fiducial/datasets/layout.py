"""What every layout shares: its name, the tree it expects, and an error that shows both trees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from fiducial.datasets.sample import Dataset
from fiducial.errors import InputError, UnknownNameError

_SHOWN = 8
_LOOKED_AT = 2000


class LayoutError(InputError):
    """A folder is not laid out as it should be; the message shows the tree expected and the one found."""

    def __init__(self, root: Path, layout: str, expected: str, problem: str) -> None:
        """Say what is wrong with a folder.

        Args:
            root: the folder (or file) that was to be opened.
            layout: the name of the layout.
            expected: the layout as a small tree.
            problem: what is missing or wrong.
        """
        self.root = root
        self.layout = layout
        self.problem = problem
        super().__init__(
            f"{root}: not a complete {layout!r} dataset: {problem}\nexpected:\n{_indent(expected)}\n"
            f"found:\n{_indent(tree(root))}"
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """One way in which benchmarks lie on disk.

    Args:
        name: what stands before the colon in ``"FORMAT:PATH"``.
        summary: one line for lists and help.
        expected: the layout as a small tree.
        open: makes the dataset of a path; takes ``split`` and the layout's own options by keyword.
        recognises: says of an existing path whether it is laid out so, looking at names only.
    """

    name: str
    summary: str
    expected: str
    open: Callable[..., Dataset]
    recognises: Callable[[Path], bool]


def tree(root: Path) -> str:
    """Draw the first two levels of a folder, a few names each."""
    if not root.exists():
        return "nothing: no such file or folder"
    if root.is_file():
        return f"{root.name} (a file)"
    return "\n".join([f"{root.name or root}/", *_branches(root, 1)])


def count_of(things: Sequence[str], total: int | None = None) -> str:
    """Write names in a sentence: the first few, and how many more there are."""
    shown = ", ".join(things[:3])
    more = (len(things) if total is None else total) - min(3, len(things))
    return f"{shown} and {more} more" if more > 0 else shown


def choose_splits(available: Iterable[str], wanted: str | None, where: Path) -> list[str]:
    """Name the splits to read: the one that was asked for, or all of them.

    Raises:
        UnknownNameError: the dataset has no such split.
    """
    known = list(available)
    if wanted is None:
        return known
    if wanted not in known:
        raise UnknownNameError(f"split of {where}", wanted, known)
    return [wanted]


def _branches(folder: Path, depth: int) -> list[str]:
    try:
        entries = sorted(islice(folder.iterdir(), _LOOKED_AT), key=lambda path: (path.is_file(), path.name))
    except OSError as error:
        return [f"{'  ' * depth}({error.strerror})"]
    lines = []
    for entry in entries[:_SHOWN]:
        folder_like = entry.is_dir()
        lines.append(f"{'  ' * depth}{entry.name}{'/' * folder_like}")
        if folder_like and depth < 2:
            lines += _branches(entry, depth + 1)
    if len(entries) > _SHOWN:
        more = "many" if len(entries) == _LOOKED_AT else str(len(entries) - _SHOWN)
        lines.append(f"{'  ' * depth}... and {more} more")
    return lines or [f"{'  ' * depth}(empty)"]


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip("\n").splitlines())
