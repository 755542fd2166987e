"""Run folders: what a training run writes, so that it can be stopped at any moment and gone on with.

``run.json`` holds command, resolved configuration, versions and seed; ``log.jsonl`` one line per report
(step, losses, held-out scores); ``checkpoint.safetensors`` all that is needed to go on (weights, averages,
optimiser, step); ``best.safetensors`` the weights with the best held-out score.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.errors import InputError
from fiducial.provenance import versions
from fiducial.results import make_folder, write_atomically

if TYPE_CHECKING:
    import torch

CARD, LOG, CHECKPOINT, BEST = "run.json", "log.jsonl", "checkpoint.safetensors", "best.safetensors"
_OPTIMISER = "optimiser"


class TrainingRun:
    """A folder of one training run.

    Args:
        folder: where it lies; made when it does not exist.
        config: the resolved configuration as plain values.
        command: the words of the command line.
        free: keys of the configuration that may differ when a run is gone on with.
        quiet: write the log without printing it.

    Raises:
        InputError: the folder holds a run of another configuration; go on with that one or take another folder.
    """

    def __init__(
        self,
        folder: str | Path,
        config: Mapping[str, Any],
        command: Sequence[str] = (),
        *,
        free: Sequence[str] = (),
        quiet: bool = False,
    ) -> None:
        self.folder = make_folder(folder)
        self._quiet = quiet
        self._started = time.monotonic()
        plain = json.loads(json.dumps(config))
        card = self.folder / CARD
        if card.exists():
            _require_same(json.loads(card.read_text(encoding="utf-8"))["config"], plain, self.folder, free)
        else:
            content = {"command": list(command), "config": plain, "versions": versions(), "seed": plain.get("seed")}
            write_atomically(card, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def log(self, step: int, **figures: Any) -> None:
        """Append one line to the log and print it."""
        line = {"step": step, "seconds": round(time.monotonic() - self._started, 1), **figures}
        with open(self.folder / LOG, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if not self._quiet:
            print(" ".join(f"{key} {_short(value)}" for key, value in line.items()), file=sys.stderr, flush=True)

    def history(self) -> list[dict[str, Any]]:
        """Return the log's lines that are whole."""
        path = self.folder / LOG
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def save(
        self,
        step: int,
        modules: Mapping[str, torch.nn.Module],
        optimiser: torch.optim.Optimizer | None = None,
        **notes: Any,
    ) -> None:
        """Write the checkpoint, whole or not at all.

        Args:
            step: the number of steps done.
            modules: what to keep, by name.
            optimiser: its state is kept too.
            notes: plain JSON values to find again, such as the best score so far.
        """
        tensors = {f"{name}/{key}": value for name, one in modules.items() for key, value in one.state_dict().items()}
        if optimiser is not None:
            for number, state in optimiser.state_dict()["state"].items():
                tensors |= {f"{_OPTIMISER}/{number}/{key}": value for key, value in state.items()}
        self._write(CHECKPOINT, tensors, {"step": step, **notes})

    def resume(
        self, modules: Mapping[str, torch.nn.Module], optimiser: torch.optim.Optimizer | None = None
    ) -> dict[str, Any]:
        """Load the checkpoint, if there is one, into modules and optimiser.

        Returns:
            The notes of :meth:`save` with ``"step"``; ``{"step": 0}`` where nothing was saved.

        Raises:
            InputError: the checkpoint is broken or of another network.
        """
        path = self.folder / CHECKPOINT
        if not path.exists():
            return {"step": 0}
        tensors, notes = read_tensors(path)
        parts: dict[str, dict[str, Any]] = {}
        for key, value in tensors.items():
            name, _, rest = key.partition("/")
            parts.setdefault(name, {})[rest] = value
        try:
            for name, module in modules.items():
                module.load_state_dict(parts[name])
        except (KeyError, RuntimeError) as error:
            raise InputError(f"{path}: is no checkpoint of this network ({error})") from None
        if optimiser is not None:
            _load_optimiser(optimiser, parts.get(_OPTIMISER, {}))
        return notes

    def save_best(self, module: torch.nn.Module, **notes: Any) -> Path:
        """Write the weights that scored best so far."""
        self._write(BEST, module.state_dict(), notes)
        return self.folder / BEST

    def _write(self, name: str, tensors: Mapping[str, torch.Tensor], notes: Mapping[str, Any]) -> None:
        from safetensors.torch import save

        whole = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        write_atomically(self.folder / name, save(whole, {"notes": json.dumps(notes)}))


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read a safetensors file: its tensors by name, and its notes.

    Raises:
        InputError: it is missing or broken.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            notes = json.loads((file.metadata() or {}).get("notes", "{}"))
            return {key: file.get_tensor(key) for key in file.keys()}, notes  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as safetensors ({error})") from None


def _load_optimiser(optimiser: torch.optim.Optimizer, saved: Mapping[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, value in saved.items():
        number, _, name = key.partition("/")
        state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _require_same(before: Any, now: Any, folder: Path, free: Sequence[str]) -> None:
    changed = sorted(key for key in {*before, *now} - {*free} if before.get(key) != now.get(key))
    if changed:
        raise InputError(
            f"{folder}: holds a run with another {', '.join(changed)}: "
            "take another folder, or that configuration to go on"
        )


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
