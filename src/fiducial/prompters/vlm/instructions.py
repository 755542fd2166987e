"""Instructions are data: they are checked, and cannot speak the chat's control language."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from fiducial.language.answers import check_instruction

_MARKED = re.compile(r"<\S+>|\[\S+\]")


def control_tokens(tokenizer: Any) -> frozenset[str]:
    """List the strings that a tokenizer would read as more than words.

    These are its special tokens (turn marks, image places, box marks) and every other added token
    in angle or square brackets, such as ``<think>``.
    """
    added = tokenizer.get_added_vocab()
    special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    marked = {token for token in added if _MARKED.fullmatch(token)}
    tokens = special | marked | set(tokenizer.all_special_tokens)
    return frozenset(token for token in tokens if len(token) > 1 and not any(map(str.isspace, token)))


def clean_instruction(instruction: str, tokens: Collection[str], name: str = "") -> tuple[str, tuple[str, ...]]:
    """Check an instruction and take control tokens out of it.

    Args:
        instruction: what the user wrote.
        tokens: what the model's tokenizer would read as more than words.
        name: names the image in errors.

    Returns:
        The instruction without control tokens and outer space, and one note when there were any.

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
