"""Measure the reply parser: recovery and speed on messy replies, and time on hostile texts.

Run it from the repository's root::

    python benchmarks/parser.py

The corpus is ``tests/language/data/messy_replies.jsonl``: replies of every dialect with the expected
outcome and prompts. Side by side stand ``json.loads`` (the reply as it is, and with its code fence
and tags cut off) and ``json_repair.loads``, which is what most projects put behind a model. Both give
plain values, not prompts; so a generous recovery is counted for them: an expected number of all
expected prompts, in order, stands among the numbers that they return (or nothing where nothing is
expected). They are measured on the replies whose dialect is written in JSON or lists.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import json_repair
from recording import median_seconds, record

from fiducial.language.dialects import DIALECTS
from fiducial.language.dialects.replies import MAX_CHARACTERS
from fiducial.language.dialects.values import read_values

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "language" / "data" / "messy_replies.jsonl"
JSON_DIALECTS = (
    "sjtu",
    "llava",
    "qwen2-vl",
    "qwen2.5-vl",
    "qwen3-vl",
    "think2seg",
    "visionreasoner",
    "seg-zero",
    "gemini",
)
MEGABYTE = 1_000_000


def decode(case: dict[str, Any]) -> Any:
    """Read a case as the library does."""
    one = DIALECTS[case["dialect"]]
    canvas = tuple(case["canvas"]) if case["canvas"] else None
    return one.decode(case["reply"], one.frame(case["width"], case["height"], canvas))


def recovered(case: dict[str, Any]) -> bool:
    """Say whether the library gives exactly what is expected of a case."""
    answer = decode(case)
    prompts = [(prompt.box, prompt.points, prompt.labels, prompt.label) for prompt in answer.prompts]
    expected = [
        (
            tuple(wanted["box"]) if wanted["box"] else None,
            tuple(map(tuple, wanted["points"])),
            tuple(wanted["point_labels"]),
            wanted["label"],
        )
        for wanted in case["prompts"]
    ]
    return answer.outcome == case["outcome"] and prompts == expected


def unwrapped(text: str) -> str:
    """Cut off thinking, answer tags and code fence, as a short script would."""
    for start, end in (("<answer>", "</answer>"), ("```json", "```")):
        if start in text:
            text = text.split(start, 1)[1].split(end, 1)[0]
    return text.strip()


def numbers(value: Any) -> list[float]:
    """Gather all numbers of a value, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [number for part in value for number in numbers(part)]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return [float(value)] if is_number else []


def found_by(read: Callable[[str], Any], case: dict[str, Any]) -> bool:
    """Say whether another reader finds the numbers that are expected of a case, and no others."""
    try:
        value = read(case["reply"])
    except (ValueError, RecursionError):
        return not case["prompts"] and case["outcome"] != "no_target"
    order = (1, 0, 3, 2) if case["dialect"] == "gemini" else (0, 1, 2, 3)
    wanted = []
    for prompt in case["prompts"]:
        box = prompt["box"] or []
        wanted += [box[i] for i in order] if box else []
        wanted += [number for point in prompt["points"] for number in (point[::-1] if order[0] else point)]
    return numbers(value) == wanted


def quietly(read: Callable[[str], Any], text: str) -> Any:
    """Read a text and ignore that it cannot be read."""
    try:
        return read(text)
    except (ValueError, RecursionError):
        return None


def hostile(size: int) -> dict[str, str]:
    """Texts that make careless parsers slow, ``size`` characters each."""
    draw = random.Random(1)
    return {
        "open brackets": "[" * size,
        "open keys": '{"a":' * (size // 5),
        "quotation marks": "[" + '"' * size,
        "backslashes": '["' + "\\" * size,
        "unterminated fence": "```json\n[" + "1," * (size // 2),
        "fences": "```" * (size // 3),
        "digits": "[[" + "9" * size,
        "strings that never close": "{a:" + '"x,a:' * (size // 5),
        "empty lists": "[]" * (size // 2),
        "box tags": "<box>" * (size // 5),
        "location tokens": "<loc_1>a" * (size // 8),
        "random punctuation": "".join(draw.choice("[]{}\",: '\\1a\n") for _ in range(size)),
    }


def measure_corpus(cases: list[dict[str, Any]], repeats: int) -> dict[str, Any]:
    """Measure recovery and speed on the corpus."""
    shared = [case for case in cases if case["dialect"] in JSON_DIALECTS]
    readers: dict[str, Callable[[str], Any]] = {
        "json.loads": json.loads,
        "json.loads, fence and tags cut off": lambda text: json.loads(unwrapped(text)),
        "json_repair": json_repair.loads,
        "json_repair, fence and tags cut off": lambda text: json_repair.loads(unwrapped(text)),
    }
    ours = median_seconds(lambda: [decode(case) for case in shared], repeats=repeats)
    whole = median_seconds(lambda: [decode(case) for case in cases], repeats=repeats)
    result: dict[str, Any] = {
        "replies": len(cases),
        "replies per second": round(len(cases) / whole),
        "recovery": round(sum(map(recovered, cases)) / len(cases), 4),
        "on json dialects": {
            "replies": len(shared),
            "fiducial": {
                "recovery": round(sum(map(recovered, shared)) / len(shared), 4),
                "replies per second": round(len(shared) / ours),
            },
        },
    }
    for name, read in readers.items():
        taken = median_seconds(lambda read=read: [quietly(read, case["reply"]) for case in shared], repeats=repeats)
        result["on json dialects"][name] = {
            "recovery": round(sum(found_by(read, case) for case in shared) / len(shared), 4),
            "replies per second": round(len(shared) / taken),
            "time relative to fiducial": round(taken / ours, 3),
        }
    return result


def measure_hostile() -> dict[str, Any]:
    """Measure the worst dialect on each text, and how reading without a limit grows from half a megabyte to one."""
    result: dict[str, Any] = {}
    for name, text in hostile(MEGABYTE).items():
        times = {}
        for dialect_name, one in DIALECTS.items():
            frame = one.frame(640, 480)
            times[dialect_name] = median_seconds(
                lambda one=one, frame=frame, text=text: one.decode(text, frame), repeats=1
            )
        worst = max(times, key=times.__getitem__)
        half, full = (
            median_seconds(lambda piece=text[:length]: read_values(piece), repeats=3)
            for length in (MEGABYTE // 2, MEGABYTE)
        )
        result[name] = {
            "decode, seconds": round(times[worst], 3),
            "slowest dialect": worst,
            "reader without limit, seconds": round(full, 3),
            "one megabyte over half of one": round(full / half, 2),
        }
    return result


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9, help="timings of the corpus, of which the median counts")
    options = parser.parse_args()
    cases = [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()]
    measured = {
        "notes": [
            "the corpus is the test data of this parser, whose tests pass: its own recovery is 1 by construction",
            "the other readers know no frames: replies whose numbers are to be clipped or dropped count against them",
            "a reader that fails is right where nothing can be read (malformed, or broken off before the first item)",
        ],
        "characters read of a reply at most": MAX_CHARACTERS,
        "corpus": measure_corpus(cases, options.repeats),
        "one megabyte of hostile text": measure_hostile(),
    }
    record("parser", measured, ("json_repair",))


if __name__ == "__main__":
    main()
