"""Asking: every item once, whatever interrupts it, by a model that can talk or by a baseline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fiducial.config import Config, as_plain, build
from fiducial.contents import CONTENTS, contents_of, differences, fingerprint_of, known_contents
from fiducial.contracts import Conversational, SamplingPrompter, TextReply
from fiducial.errors import InputError, UnknownNameError
from fiducial.evaluation.run import CARD
from fiducial.files import LineFile, json_text, make_folder, read_json, read_json_lines, write_atomically
from fiducial.images import Image, read_image
from fiducial.language import Outcome
from fiducial.language.self_consistency import vote
from fiducial.misground.baselines import BASELINES
from fiducial.misground.items import ITEMS, Item, letter, read_items
from fiducial.misground.replies import choice
from fiducial.overlays.text import line_height, stamp, text_coverage
from fiducial.prompters.configs import SelfConsistencyConfig
from fiducial.provenance import session

REPLIES = "replies.jsonl"
LAYOUT = 1
Shown = Literal["several", "sheet", "none"]
SETTINGS = ("benchmark", "asked", "images", "limit", "seed", "samples")
"""What determines the answers of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of one item.

    Args:
        id: of the item.
        digest: of what was asked, and what is right.
        text: the reply, letter by letter; of several to one item each, numbered.
        thinking: what was kept apart as thinking.
        finished: it came to its end.
        failure: why there is no reply, or "".
        choice: the letter of the option that it chooses, "" where it chooses none.
        seconds: of the model, an equal share of its batch.
        agreement: share in 0..1 of several replies that make this choice; None where one was asked for.
    """

    id: str
    digest: str
    text: str
    thinking: str = ""
    finished: bool = True
    failure: str = ""
    choice: str = ""
    seconds: float = 0.0
    agreement: float | None = None

    @property
    def outcome(self) -> Outcome:
        """How it ended: chosen, nothing that could be read, or failed."""
        return Outcome.FAILED if self.failure else Outcome.FOUND if self.choice else Outcome.MALFORMED


OnReply = Callable[[Reply, int, int], None]
"""Called with every reply when it is on the disk, the number done and the number planned."""


@dataclass(frozen=True)
class AskedRun:
    """The folder of a run: settings, how it was started, and what came of the items."""

    folder: Path
    settings: Mapping[str, Any]
    sessions: tuple[Mapping[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """What to call it among others: the name of model or baseline, and how it was asked where that is unusual."""
        asked = self.settings["asked"]
        if "baseline" in asked:
            return str(asked["baseline"])
        unusual = ["no pictures"] if self.settings["images"] == "none" else []
        if asked.get("decode"):
            unusual.append(f"{asked['decode']['name']} decoding")
        if self.settings["samples"] > 1:
            unusual.append(f"{self.settings['samples']} samples")
        named = str(asked.get("model") or asked.get("name"))
        return f"{named} ({', '.join(unusual)})" if unusual else named

    def items(self) -> list[Item]:
        """Read the items that belong to it, in order."""
        folder = Path(self.settings["benchmark"]["path"])
        if fingerprint_of(folder / ITEMS) != self.settings["benchmark"]["sha256"]:
            raise InputError(f"{folder / ITEMS}: is not what {self.folder} was asked: was the benchmark built anew?")
        return chosen(read_items(folder), self.settings["limit"], self.settings["seed"])

    def replies(self) -> dict[str, Reply]:
        """Read what came of the items so far, by id."""
        return _read_replies(self.folder / REPLIES)

    def write_card(self) -> None:
        """Write ``run.json``."""
        latest = self.sessions[-1] if self.sessions else {}
        card = {"misground": LAYOUT, **latest, **self.settings, "sessions": list(self.sessions)}
        write_atomically(self.folder / CARD, json_text(card))


def read_asked(folder: str | Path) -> AskedRun:
    """Read the card of a run; an InputError where the folder is no run of ``fiducial misground run``."""
    path = Path(folder) / CARD
    card = read_json(path, kind=dict) if path.is_file() else {}
    if card.get("misground") != LAYOUT or not {*SETTINGS} <= set(card):
        raise InputError(f"{folder}: no folder of `fiducial misground run`")
    settings = {**{key: card[key] for key in SETTINGS}, CONTENTS: known_contents(card)}
    if not isinstance(settings["benchmark"], dict) or not isinstance(card.get("sessions", []), list):
        raise InputError(f"{path}: makes no sense: was the file edited?")
    return AskedRun(Path(folder), settings, tuple(card.get("sessions", ())))


def chosen(items: Sequence[Item], limit: int | None, seed: int) -> list[Item]:
    """Return all items, or so many, drawn by whole situations, so that what is compared stays together."""
    if limit is None or limit >= len(items):
        return list(items)
    situations = list(dict.fromkeys(item.situation for item in items))
    order = np.random.default_rng(seed).permutation(len(situations))
    rank = {situations[int(place)]: number for number, place in enumerate(order)}
    kept = sorted(items, key=lambda item: rank[item.situation])[:limit]
    ids = {item.id for item in kept}
    return [item for item in items if item.id in ids]


def ask(
    benchmark: str | Path,
    out: str | Path,
    *,
    prompter: Config | Conversational | None = None,
    baseline: str | None = None,
    images: Shown = "several",
    limit: int | None = None,
    seed: int = 0,
    samples: int = 1,
    batch: int = 8,
    retry_failed: bool = False,
    command: Sequence[str] = (),
    on_reply: OnReply | None = None,
) -> AskedRun:
    """Ask every item that has no reply yet.

    Args:
        benchmark: a folder of ``fiducial misground build``.
        out: folder of the run; one that holds a part of the same run is continued.
        prompter: the description of a prompter that can talk, or one.
        baseline: in its place, a name of :data:`fiducial.misground.baselines.BASELINES`.
        images: ``several``: each slice is a picture of its own; ``sheet``: several are laid onto one, numbered, for
            models that take one; ``none``: the text alone, which tells what a model knows without looking.
        limit: so many items, drawn by the seed.
        seed: of that draw.
        samples: a model is asked so often, each time with draws of its own, and the choice that comes most often is
            taken (self-consistency).
        batch: items that are asked together.
        retry_failed: ask those again that failed.
        command: the words that started this.
        on_reply: called with every reply.

    Raises:
        InputError: the folder holds another run, the prompter cannot talk, or it draws nothing and is to be asked
            several times.
        ModelError: the model or server failed; what was asked before is kept.
    """
    if (prompter is None) == (baseline is None):
        raise InputError("name a prompter to ask, or a baseline, one of the two")
    if baseline is not None and baseline not in BASELINES:
        raise UnknownNameError("baseline", baseline, BASELINES)
    if samples < 1 or (baseline is not None and samples > 1):
        raise InputError(f"a model is asked once or more, a baseline once, got samples={samples}")
    if isinstance(prompter, Config):
        SelfConsistencyConfig(samples=samples).require(prompter)
    items = chosen(read_items(benchmark), limit, seed)
    settings = _settings(
        Path(benchmark), _asked(prompter, baseline), items, images=images, limit=limit, seed=seed, samples=samples
    )
    run = _prepare(Path(out), settings, command)
    if retry_failed:
        _drop_failed(run)
    with LineFile(run.folder / REPLIES) as file:
        done = run.replies()
        if not set(done) <= {item.id for item in items}:
            raise InputError(f"{run.folder / REPLIES}: holds replies to other items: was the file edited?")
        pending = [item for item in items if item.id not in done]
        if baseline is not None:
            found = _by_baseline(baseline, items, {item.id for item in pending})
        else:
            found = _by_prompter(prompter, Path(benchmark), pending, images, samples, batch) if pending else iter(())
        for reply in found:
            file.append(_encoded(reply))
            done[reply.id] = reply
            if on_reply is not None:
                on_reply(reply, len(done), len(items))
    return run


def _asked(prompter: Config | Conversational | None, baseline: str | None) -> dict[str, Any]:
    if baseline is not None:
        return {"baseline": baseline}
    described: dict[str, Any] = (
        as_plain(prompter) if isinstance(prompter, Config) else {"name": type(prompter).__name__}
    )
    return described


def _settings(benchmark: Path, asked: dict[str, Any], items: Sequence[Item], **more: Any) -> dict[str, Any]:
    told = {"path": str(benchmark.resolve()), "sha256": fingerprint_of(benchmark / ITEMS), "items": len(items)}
    return {"benchmark": told, "asked": asked, **more, CONTENTS: contents_of({"prompter": asked}, {})}


def _prepare(folder: Path, settings: Mapping[str, Any], command: Sequence[str]) -> AskedRun:
    here = session(command)
    if (folder / CARD).exists():
        run = read_asked(folder)
        if changed := differences(run.settings, settings):
            raise InputError(f"{folder} holds a run with other settings ({'; '.join(changed)}): take another --out")
        run = AskedRun(folder, run.settings, (*run.sessions, here))
    else:
        run = AskedRun(make_folder(folder), settings, (here,))
    run.write_card()
    return run


def _drop_failed(run: AskedRun) -> None:
    path = run.folder / REPLIES
    if path.exists():
        with LineFile(path):
            kept = [reply for reply in run.replies().values() if not reply.failure]
            write_atomically(path, b"".join(map(_encoded, kept)))


def _encoded(reply: Reply) -> bytes:
    return json.dumps(asdict(reply), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _read_replies(path: Path) -> dict[str, Reply]:
    if not path.is_file():
        return {}
    known = {field.name for field in fields(Reply)}
    found: dict[str, Reply] = {}
    for number, values in read_json_lines(path):
        if set(values) != known or not isinstance(values["id"], str) or values["id"] in found:
            raise InputError(f"{path}, line {number}: not a reply, or the second to one item: was the file edited?")
        found[values["id"]] = Reply(**values)
    return found


# -- who answers --------------------------------------------------------------------------------------


def _by_baseline(name: str, items: Sequence[Item], pending: set[str]) -> Iterator[Reply]:
    for item, place in zip(items, BASELINES[name](items), strict=True):
        if item.id in pending:
            yield Reply(id=item.id, digest=item.digest, text=letter(place), choice=letter(place))


def _by_prompter(
    prompter: Config | Conversational | None,
    benchmark: Path,
    items: Sequence[Item],
    images: Shown,
    samples: int,
    batch: int,
) -> Iterator[Reply]:
    model = build(prompter) if isinstance(prompter, Config) else prompter
    if not isinstance(model, Conversational):
        raise InputError(f"{type(model).__name__} cannot talk: ask a vision-language model (vlm, endpoint, ...)")
    voices: list[Any] = [model]
    if samples > 1:
        if not isinstance(model, SamplingPrompter):
            raise InputError(
                f"a {type(model).__name__} draws nothing, so that asking it {samples} times changes nothing"
            )
        voices = [model.sampled(number) for number in range(samples)]
    for start in range(0, len(items), batch):
        some = items[start : start + batch]
        shown = [[] if images == "none" else pictures_of(benchmark, item, images) for item in some]
        started = time.perf_counter()
        rounds = [voice.converse(shown, [item.text for item in some]) for voice in voices]
        seconds = (time.perf_counter() - started) / len(some)
        for item, replies in zip(some, zip(*rounds, strict=True), strict=True):
            yield replace(_voted(item, replies), seconds=round(seconds, 6))


def _voted(item: Item, replies: Sequence[TextReply]) -> Reply:
    """Read the choice of one reply, or that of most of several; it has failed where all have."""
    places = [None if one.failure else choice(one.text, item.options) for one in replies]
    found = vote(places)
    failed = all(one.failure for one in replies)
    several = len(replies) > 1
    return Reply(
        id=item.id,
        digest=item.digest,
        text=_numbered([one.text for one in replies]),
        thinking=_numbered([one.thinking for one in replies]) if any(one.thinking for one in replies) else "",
        finished=all(one.finished for one in replies),
        failure=replies[0].failure if failed else "",
        choice="" if found.choice is None else letter(found.choice),
        agreement=found.agreement if several else None,
    )


def _numbered(texts: Sequence[str]) -> str:
    """Join several texts, numbered from 1; one stays as it is."""
    return texts[0] if len(texts) == 1 else "\n\n".join(f"[{n}] {text}" for n, text in enumerate(texts, start=1))


def pictures_of(benchmark: Path, item: Item, images: Shown) -> list[Image]:
    """Read the pictures of an item; as a sheet, several become one."""
    found = [read_image(benchmark / path) for path in item.images]
    return [sheet(found)] if images == "sheet" and len(found) > 1 else found


def sheet(images: Sequence[Image]) -> Image:
    """Lay pictures of one size onto one, row by row, with their numbers from 1 above them."""
    columns = 1 if len(images) == 1 else 2 if len(images) <= 4 else 3
    rows = -(-len(images) // columns)
    height, width = max(one.height for one in images), max(one.width for one in images)
    letters = 18
    head = line_height(letters) + 4
    pixels: NDArray[np.uint8] = np.zeros((rows * (height + head), columns * (width + 4), 3), np.uint8)
    for number, image in enumerate(images):
        y, x = number // columns * (height + head), number % columns * (width + 4)
        stamp(pixels, text_coverage(f"image {number + 1}", letters, bold=True), x + 4, y + 2, (255, 255, 255))
        pixels[y + head : y + head + image.height, x : x + image.width] = image.pixels
    return Image(pixels, name=f"sheet of {len(images)}")
