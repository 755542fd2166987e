"""Run folders: what a training run writes, so that it can be stopped at any moment and gone on with.

``run.json`` holds command, resolved configuration, versions and seed; ``log.jsonl`` one line per report
(step, losses, held-out scores); ``checkpoint.safetensors`` all that is needed to go on (weights, averages,
optimiser, step).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from fiducial.config import as_plain, read
from fiducial.contents import CONTENTS, differences, files_of, flat, known_contents
from fiducial.errors import InputError
from fiducial.evaluation.progress import clock
from fiducial.files import make_folder, parse_json, read_json, write_atomically
from fiducial.provenance import RUN_CARD, write_run_card
from fiducial.training.configs import RunConfig

LOG, CHECKPOINT, LOCK = "log.jsonl", "checkpoint.safetensors", ".lock"
PAUSE = 30.0
"""Seconds between two lines about how far a run is."""
_OPTIMISER = "optimiser"
_RENAMED = {
    **{"batch": "batch_size", "pictures": "batch_size", "rate": "learning_rate", "warm_up": "warmup_ratio"},
    **{"decay": "weight_decay", "average": "ema_decay", "start": "initial_weights", "least": "min_size"},
    **{"score_every": "eval_every", "score_limit": "eval_limit", "score_prompt": "eval_prompt"},
    **{"threads": "num_threads", "workers": "num_workers", "own": "predicted", "turn": "rotation"},
    **{"elsewhere": "negatives", "kept": "min_visible", "targets": "max_targets", "zoom": "upsampling"},
    **{"most_points": "max_points", "frequent": "num_words", "rare": "num_rare", "skipped": "skip_words"},
    **{"pool": "pool_size", "phrases": "num_phrases", "single": "word_weight", "listed": "listed_weight"},
    **{"hidden": "hidden_size"},
}
"""Fields that cards of older versions call otherwise."""
_OLD_PARTS = ("mask_decoder", "prompt_encoder")
"""Parts of the network that older checkpoints of decoders keep one by one."""


class TrainingRun:
    """A folder of one training run; nothing is written before :meth:`open`, which the first line of the log does too.

    Args:
        folder: where it lies.
        config: the configuration; fields that it calls ``changeable`` may differ when a run is gone on with.
        command: the words of the command line.
        digests: what else has to be the same to go on, by name.
        quiet: write the log without printing it.
        writes: whether it is this process that writes and prints, where several train together.

    Raises:
        InputError: the folder holds a run of another configuration, or of one whose files held something else; go on
            with that one or take another folder.
    """

    def __init__(
        self,
        folder: str | Path,
        config: RunConfig,
        command: Sequence[str] = (),
        *,
        digests: Mapping[str, str] = MappingProxyType({}),
        quiet: bool = False,
        writes: bool = True,
    ) -> None:
        self.folder, self.command, self.quiet, self.writes = Path(folder), command, quiet, writes
        self._board: Any = None
        self._lock: FileLock | None = None
        self._made = False  # whether the folder is new
        self._config = {**as_plain(config), **digests}
        self._contents = files_of(flat(as_plain(config)))
        self._started = time.monotonic()
        card = self.folder / RUN_CARD
        self._is_new = not card.exists()
        if not self._is_new:
            before = _config_of(card, config, digests)
            changed = {key for key in {*before, *self._config} if before.get(key) != self._config.get(key)}
            held = known_contents(read_json(card, kind=dict))
            held = {key: one for key, one in held.items() if key.partition(".")[0] not in config.changeable}
            old, new = ({key: one.get(key) for key in changed - config.changeable} for one in (before, self._config))
            if found := differences({**old, CONTENTS: held}, {**new, CONTENTS: self._contents}):
                raise InputError(
                    f"{self.folder}: holds a run with other settings ({'; '.join(found)}): a run goes "
                    "on with those that it began with: give them, or take another --out"
                )

    @contextlib.contextmanager
    def beginning(self) -> Iterator[None]:
        """Keep other processes out of the folder from here on, and open it where what is done in between works out.

        What takes long, such as reading data, belongs into it; where that fails, no trace of a run is left that never
        began.

        Raises:
            InputError: another process trains in this folder.
        """
        self._lock_folder()
        try:
            yield
        except BaseException:
            self._leave()
            raise
        self.open()

    def open(self) -> None:
        """Make the folder, keep other processes out of it, and write the card of a run that is new.

        Raises:
            InputError: another process trains in this folder.
        """
        if not self.writes:
            return
        self._lock_folder()
        if self._is_new:
            described = {"config": self._config, CONTENTS: self._contents}
            write_run_card(self.folder, self.command, seed=self._config["seed"], **described)
            self._is_new = False

    def _lock_folder(self) -> None:
        if self._lock is not None or not self.writes:
            return
        self._made = not self.folder.exists()
        lock = FileLock(make_folder(self.folder) / LOCK, is_singleton=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"{self.folder}: another process trains in this folder: wait for it, or take another folder"
            ) from None
        self._lock = lock

    def _leave(self) -> None:
        if self._lock is None:
            return
        empty = self._made and [*self.folder.iterdir()] == [self.folder / LOCK]
        if empty:
            (self.folder / LOCK).unlink()
        self._lock.release()
        self._lock = None
        if empty:
            with contextlib.suppress(OSError):  # another process has begun there
                self.folder.rmdir()

    def open_board(self) -> None:
        """Write what is logged for TensorBoard too, below ``tensorboard/``; nothing happens where it is missing."""
        if self.writes and importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(self.folder / "tensorboard"))

    def log(self, step: int, **figures: Any) -> None:
        """Append one line to the log and print it."""
        if not self.writes:
            return
        self.open()
        line = {"step": step, "seconds": round(time.monotonic() - self._started, 1), **figures}
        with open(self.folder / LOG, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._board is not None:
            for key, value in figures.items():
                if isinstance(value, (int, float)):
                    self._board.add_scalar(key, value, step)
            self._board.flush()
        shown = {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in line.items()}
        self.say(" ".join(f"{key} {value}" for key, value in shown.items()))

    def say(self, text: str) -> None:
        """Print a line, unless the run is quiet."""
        if self.writes and not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def say_start(self, step: int, steps: int) -> None:
        """Say of a run with steps done where it goes on."""
        if step >= steps:
            self.say(f"all {steps} steps are done already")
        elif step:
            self.say(f"goes on from step {step} of {steps}")

    def save(
        self, modules: Mapping[str, torch.nn.Module], optimiser: torch.optim.Optimizer | None = None, **notes: Any
    ) -> None:
        """Write the checkpoint: modules by name, the optimiser's state, and plain JSON values to find again."""
        tensors = {f"{name}/{key}": value for name, one in modules.items() for key, value in one.state_dict().items()}
        if optimiser is not None:
            for index, state in optimiser.state_dict()["state"].items():
                tensors |= {f"{_OPTIMISER}/{index}/{key}": value for key, value in state.items()}
        write_tensors(self.folder / CHECKPOINT, tensors, notes)

    def resume(
        self, modules: Mapping[str, torch.nn.Module], optimiser: torch.optim.Optimizer | None = None
    ) -> dict[str, Any]:
        """Load the checkpoint, if there is one, and return the notes of :meth:`save`.

        Raises:
            InputError: the checkpoint is broken or of another network.
        """
        path = self.folder / CHECKPOINT
        if not path.exists():
            return {}
        tensors, notes = read_tensors(path)
        parts: dict[str, dict[str, Any]] = {}
        for key, value in tensors.items():
            name, _, rest = key.partition("/")
            if name in _OLD_PARTS:
                name, rest = "network", f"{name}.{rest}"
            parts.setdefault(name, {})[rest] = value
        try:
            for name, module in modules.items():
                module.load_state_dict(parts[name])
        except (KeyError, RuntimeError) as error:
            raise InputError(f"{path}: is no checkpoint of this network ({error})") from None
        if optimiser is not None:
            state: dict[int, dict[str, Any]] = {}
            for key, value in parts.get(_OPTIMISER, {}).items():
                index, _, name = key.partition("/")
                state.setdefault(int(index), {})[name] = value
            optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
        return notes


class Progress:
    """Says now and then how far a run is, between the lines of its log.

    Args:
        run: that says it.
        step: steps done before it was begun, or gone on with.
        steps: all of them.
    """

    def __init__(self, run: TrainingRun, step: int, steps: int) -> None:
        self._run, self._first, self._last, self._steps = run, step, step, steps
        self._began = self._said = time.monotonic()

    def __call__(self, step: int, loss: float | None = None) -> None:
        """Take note of one more step done; the loss is the mean since the last evaluation."""
        now = time.monotonic()
        if now - self._said < PAUSE or step <= self._last:
            return
        each = (now - self._said) / (step - self._last)
        left = (now - self._began) / (step - self._first) * (self._steps - step)
        shown = "" if loss is None else f", loss {loss:.4g}"
        self._run.say(f"step {step} of {self._steps}{shown}, {each:.3g} s a step, {clock(left)} left")
        self._said, self._last = now, step


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], notes: Mapping[str, Any]) -> Path:
    """Write tensors and notes (plain JSON values) as safetensors."""
    whole: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for key, value in tensors.items():
        whole[key] = value.detach().cpu().contiguous()
        if whole[key].data_ptr() in seen:  # tied weights: the format wants each by itself
            whole[key] = whole[key].clone()
        seen.add(whole[key].data_ptr())
    return write_atomically(path, save(whole, {"notes": json.dumps(notes)}))


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what :func:`write_tensors` wrote.

    Raises:
        InputError: it is missing or broken.
    """
    try:
        with safe_open(path, framework="pt") as file:
            notes = parse_json((file.metadata() or {}).get("notes", "{}"), path, kind=dict)
            return {key: file.get_tensor(key) for key in file.keys()}, notes  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as safetensors ({error})") from None


def _config_of(card: Path, config: RunConfig, digests: Iterable[str]) -> dict[str, Any]:
    """Return the configuration on a card, with the names of today and what it does not say by default."""
    written = _with_new_names(read_json(card, kind=dict).get("config"))
    written = written if isinstance(written, dict) else {}
    others = {key: written.pop(key, None) for key in digests}
    try:
        return {**as_plain(read(type(config), written, str(card))), **others}
    except InputError:  # of another system altogether
        return {**written, **others}


def _with_new_names(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_RENAMED.get(key, key): _with_new_names(part) for key, part in value.items()}
    return [_with_new_names(part) for part in value] if isinstance(value, list) else value
