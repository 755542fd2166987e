"""Prompt templates: what a model is told around the user's instruction, as small text files.

A template has a ``[user]`` section and may have a ``[system]`` section before it; lines before the first section are
remarks. Placeholders are written ``$instruction``, a dollar sign ``$$``; braces mean nothing. The shipped wordings are
our own; a checkpoint that was trained on other sentences is driven with a file that holds those.
"""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from fiducial.errors import InputError, UnknownNameError
from fiducial.language.answers import check_instruction

PLACEHOLDERS = ("instruction", "question", "width", "height")
"""What a template may name: the instruction as it is; as a question, in lower case and without a
final full stop or mark; and the size in pixels of the canvas that the model is shown."""

_SECTION = re.compile(r"^\[(\w+)\][ \t]*$", re.MULTILINE)
_SECTIONS = ("system", "user")
_MARKS = '."?!;:, '
_MARKED = re.compile(r"<\S+>|\[\S+\]")


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The words around an instruction.

    Raises:
        InputError: an unknown or broken placeholder, or nowhere for the instruction to go.

    Example:
        >>> PromptTemplate("mine", user='Find "$instruction".').fill("the dog", (640, 480))
        ('', 'Find "the dog".')
    """

    name: str  # a shipped template's name, or the file
    user: str  # the user's turn
    system: str = ""  # the system's turn, or "" for none

    def __post_init__(self) -> None:
        known, named = ", ".join(f"${known}" for known in PLACEHOLDERS), set()
        for template in map(string.Template, (self.system, self.user)):
            if not template.is_valid():
                raise InputError(f"template {self.name}: a $ that starts no placeholder; a dollar sign is written $$")
            named |= set(template.get_identifiers())
        if unknown := sorted(named - {*PLACEHOLDERS}):
            raise InputError(f"template {self.name}: unknown placeholder ${unknown[0]}; known: {known}")
        if not {"instruction", "question"} & named:
            raise InputError(f"template {self.name}: its words name neither $instruction nor $question")

    def fill(self, instruction: str, canvas: tuple[int, int]) -> tuple[str, str]:
        """Put an instruction and the (width, height) that the model is shown in; return the system's and user's turn.

        Nothing in the instruction is taken for a placeholder. The system's turn is "" for none.
        """
        values: Mapping[str, object] = {
            "instruction": instruction,
            "question": instruction.lower().strip(_MARKS),
            "width": canvas[0],
            "height": canvas[1],
        }
        return string.Template(self.system).substitute(values), string.Template(self.user).substitute(values)


def template_names() -> list[str]:
    """Name the templates that come with the package, sorted."""
    return sorted(entry.name[:-4] for entry in _folder().iterdir() if entry.name.endswith(".txt"))


def read_template(name_or_path: str | Path) -> PromptTemplate:
    """Read a shipped template by name, such as ``"think2seg"``, or a user's file by a path that ends in ``.txt``.

    Raises:
        UnknownNameError: no template of that name.
        InputError: the file cannot be read, or is not a template.
    """
    path = Path(name_or_path).expanduser()
    if path.suffix == ".txt":
        try:
            return parse_template(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"template {path}: cannot be read as UTF-8 text ({error})") from None
    name = str(name_or_path).lower()
    if name not in template_names():
        raise UnknownNameError("prompt template", str(name_or_path), template_names())
    return parse_template((_folder() / f"{name}.txt").read_text(encoding="utf-8"), name)


def parse_template(text: str, name: str) -> PromptTemplate:
    """Read a template from its text; ``name`` names it in errors.

    Raises:
        InputError: sections or placeholders that are unknown, repeated or missing.
    """
    pieces = _SECTION.split(text)
    sections: dict[str, str] = {}
    for section, words in zip(pieces[1::2], pieces[2::2], strict=True):
        if section not in _SECTIONS or section in sections:
            fault = "repeated" if section in sections else "unknown"
            raise InputError(f"template {name}: {fault} section [{section}]; there are [system] and [user]")
        sections[section] = words.strip()
    if not sections.get("user"):
        raise InputError(f"template {name}: needs a [user] section with words in it")
    return PromptTemplate(name, sections["user"], sections.get("system", ""))


def _folder() -> Path:
    return Path(str(files("fiducial.prompters"))) / "templates"


def control_tokens(tokenizer: Any) -> frozenset[str]:
    """List what a tokenizer reads as more than words: special tokens, and added ones in brackets (``<think>``)."""
    added = tokenizer.get_added_vocab()
    special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    marked = {token for token in added if _MARKED.fullmatch(token)}
    tokens = special | marked | set(tokenizer.all_special_tokens)
    return frozenset(token for token in tokens if len(token) > 1 and not any(map(str.isspace, token)))


def clean_instruction(instruction: str, tokens: Collection[str], name: str = "") -> tuple[str, tuple[str, ...]]:
    """Check an instruction and take control tokens out of it; one note says so when there were any.

    Raises:
        InputError: nothing was said, or more than ``MAX_INSTRUCTION`` characters.

    Example:
        >>> clean_instruction("the dog<|im_end|>", {"<|im_end|>"})
        ('the dog', ("took '<|im_end|>' out of the instruction: control tokens are not words",))
    """
    cleaned, removed = check_instruction(instruction, name), []
    pattern = re.compile("|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True)) or "(?!)")
    while found := pattern.findall(cleaned):
        # Again and again: taking one out may put the halves of another together.
        removed += found
        cleaned = pattern.sub(" ", cleaned)
    cleaned = check_instruction(cleaned, name)
    named = ", ".join(repr(token) for token in dict.fromkeys(removed))
    return cleaned, (f"took {named} out of the instruction: control tokens are not words",) if removed else ()


_SERVER_CONTROL = re.compile(
    r"<\|[^\s<>|]{1,64}\|>|<｜[^\s<>｜]{1,64}｜>"  # as most families mark turns, places of images and boxes
    r"|</?(?:s|bos|eos|pad|unk|image|img|IMG_CONTEXT|video|ref|box|quad|think|answer|tool_call)>"
    r"|<(?:start|end)_of_(?:turn|image)>|<image_soft_token>"
    r"|\[/?INST\]|\[IMG(?:_BREAK|_END)?\]|<</?SYS>>"
)


def control_words(instruction: str) -> frozenset[str]:
    """List what the tokenizer of a model on a server may read as more than words: the marks of the families in use.

    Example:
        >>> sorted(control_words("the dog<|im_end|> and <ship>"))
        ['<|im_end|>']
    """
    return frozenset(_SERVER_CONTROL.findall(instruction))
