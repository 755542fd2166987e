"""Examples as chat files, for people who train vision-language models elsewhere: pictures and one file beside them.

Every format is that of its project's documentation:

- ``trl``: JSON Lines with ``prompt``, ``completion`` (turns whose content is a list of parts) and ``images``
  (trl, "Dataset formats", vision datasets). Prompt and completion are apart so that loss covers the answer alone.
- ``llava``: a JSON list with ``id``, ``image`` and ``conversations`` of ``human`` and ``gpt`` (LLaVA,
  ``Finetune_Custom_Data.md``); the format has no system turn, so those words stand before the user's.
- ``ms-swift``: JSON Lines with ``messages`` and ``images`` as absolute paths (ms-swift, "Custom dataset").
- ``llamafactory``: a JSON list with ``messages`` and ``images``, and ``dataset_info.json`` which describes it
  (LLaMA-Factory, ``data/README.md``, sharegpt format).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2

from fiducial.errors import InputError
from fiducial.files import json_text, make_folder, write_atomically
from fiducial.images import Image
from fiducial.provenance import write_run_card
from fiducial.training.sft_configs import ChatFormat
from fiducial.training.sft_samples import Example

Row = dict[str, Any]
PICTURES = "images"
_PLACE = "<image>"
"""Where the picture stands in a turn, in formats whose turns are plain text."""


def _trl(example: Example, picture: str) -> Row:
    prompt = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": example.user}]}]
    if example.system:
        prompt.insert(0, {"role": "system", "content": [{"type": "text", "text": example.system}]})
    answer = {"role": "assistant", "content": [{"type": "text", "text": example.answer}]}
    return {"prompt": prompt, "completion": [answer], "images": [picture]}


def _llava(example: Example, picture: str) -> Row:
    words = f"{example.system}\n\n{example.user}" if example.system else example.user
    turns = [{"from": "human", "value": f"{_PLACE}\n{words}"}, {"from": "gpt", "value": example.answer}]
    return {"id": example.id, "image": picture, "conversations": turns}


def _messages(example: Example, picture: str) -> Row:
    turns = [{"role": "system", "content": example.system}] if example.system else []
    turns += [{"role": "user", "content": f"{_PLACE}{example.user}"}, {"role": "assistant", "content": example.answer}]
    return {"messages": turns, "images": [picture]}


_ROWS: Mapping[str, Callable[[Example, str], Row]] = {
    "trl": _trl,
    "llava": _llava,
    "ms-swift": _messages,
    "llamafactory": _messages,
}
_ABSOLUTE = ("trl", "ms-swift")
"""Formats whose readers know no folder of pictures."""
_LINES = ("trl", "ms-swift")
_INFO = {
    "fiducial": {
        "file_name": "train.json",
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "images": "images"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    }
}


def write_chats(
    folder: str | Path, examples: Iterable[Example], form: ChatFormat, command: Sequence[str], **card: Any
) -> tuple[Path, int]:
    """Write examples as chats into a new folder, which appears only when it is whole.

    Pictures lie in ``images/`` as PNG, each distinct one once, at the size at which the answers count.

    Args:
        folder: where to; it must not be there, or be empty.
        examples: read one by one.
        form: what the chat file looks like.
        command: the words of the command line, for the run card.
        card: what else the card says, such as ``config=`` and ``seed=``.

    Returns:
        The chat file, and how many chats it holds.

    Raises:
        InputError: the folder is taken or cannot be written, or there is no example.
    """
    folder = Path(folder).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: there is something already: take another folder")
    make_folder(folder.parent)
    hidden = make_folder(folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.part"))
    try:
        rows = _write_pictures(hidden, folder, examples, form)
        if not rows:
            raise InputError("no sample could be written: the dataset is empty, or everything was left out")
        name = "train.jsonl" if form in _LINES else "train.json"
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_atomically(hidden / name, lines if form in _LINES else json_text(rows))
        if form == "llamafactory":
            write_atomically(hidden / "dataset_info.json", json_text(_INFO))
        write_run_card(hidden, command, **card)
        if folder.exists():
            folder.rmdir()
        os.replace(hidden, folder)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return folder / name, len(rows)


def _write_pictures(hidden: Path, folder: Path, examples: Iterable[Example], form: ChatFormat) -> list[Row]:
    make_folder(hidden / PICTURES)
    written: set[str] = set()
    rows = []
    for example in examples:
        name = f"{PICTURES}/{Image(example.picture.pixels).digest[:24]}.png"
        if name not in written:
            done, data = cv2.imencode(".png", example.picture.pixels[..., ::-1])
            if not done:
                raise InputError(f"sample {example.id}: its picture cannot be written as PNG")
            write_atomically(hidden / name, data.tobytes())
            written.add(name)
        rows.append(_ROWS[form](example, str(folder / name) if form in _ABSOLUTE else name))
    return rows
