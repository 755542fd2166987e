"""What happens in each step of reinforcement learning: rewards with their outcomes, times, and the table of steps."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from torch import Tensor

from fiducial.errors import InputError, ModelError
from fiducial.files import parse_json, rounded, write_atomically
from fiducial.language import Outcome
from fiducial.rewards import Reward, RewardFunction
from fiducial.training.grpo_data import Question

TABLE = "steps.jsonl"
_DIGITS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """One answer to a question, and what it earned; ``outcome`` is truncated where it ran to the most tokens."""

    question: Question
    text: str
    reward: Reward
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _Row:
    """What the table counts of one answer."""

    id: str
    outcome: str
    parts: Mapping[str, float]
    total: float
    tokens: int


class Recorder:
    """Stands between TRL and the reward: scores answers, and keeps what is told of a step.

    Args:
        function: the reward.
        ends: the tokens that end a reply.
    """

    def __init__(self, function: RewardFunction, ends: Sequence[int]) -> None:
        self.function, self._ends = function, frozenset(ends)
        self.__name__ = function.__name__  # TRL logs a reward by it
        self.answered: list[Answered] = []
        """The answers of this process to the latest questions."""
        self._seconds = {"rollout": 0.0, "reward": 0.0}
        self._rows: list[_Row] = []
        self._rewards: Tensor | None = None
        self._ended = self._began = time.perf_counter()

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]],
        question: Sequence[Question],
        **columns: Any,
    ) -> list[float | None]:
        """Return what each completion earned; every one counts, whatever became of it.

        Raises:
            ModelError: a reward is no finite number.
        """
        totals = self.function(
            prompts,
            completions,
            image=[one.image for one in question],
            truth=[one.truth for one in question],
            shown=[one.shown for one in question],
        )
        texts = [completion[-1]["content"] for completion in completions]
        self.answered, rows = [], []
        for one, text, ids, reward in zip(question, texts, completion_ids, self.function.last, strict=True):
            finished = len(ids) > 0 and ids[-1] in self._ends
            outcome = reward.outcome if finished or reward.outcome is Outcome.FAILED else Outcome.TRUNCATED
            self.answered.append(Answered(one, text, reward, outcome))
            rows.append(_Row(one.example.id, outcome.value, dict(reward.parts), reward.total, len(ids)))
        self._rows = gather_object(rows)
        for row in self._rows:  # of all processes, so that none waits for one that has stopped
            if not math.isfinite(row.total):
                raise ModelError(f"sample {row.id}: the reward is {row.total}: {row.parts}")
        return [*totals]

    @contextmanager
    def timing(self, what: str) -> Iterator[None]:
        """Count the seconds of what is done inside as those of ``rollout`` or ``reward``."""
        started = time.perf_counter()
        yield
        self._seconds[what] += time.perf_counter() - started

    def rewarded(self, rewards: Tensor) -> None:
        """Take the (N, functions) rewards of all processes, answers to one question behind each other."""
        self._rewards = rewards.sum(dim=1).double().cpu()

    def begin(self) -> None:
        """Begin a step: what was done since the last one ended was reading data, saving, evaluating."""
        self._began = time.perf_counter()

    def end(self, num_generations: int) -> dict[str, Any]:
        """End a step and tell what happened in it, and nothing of answers where it learned from earlier ones."""
        now = time.perf_counter()
        spent = {**self._seconds}
        spent |= {"update": now - self._began - sum(spent.values()), "other": self._began - self._ended}
        total = max(now - self._ended, 1e-9)
        line: dict[str, Any] = {}
        if self._rewards is not None and self._rows:
            line = {
                "outcomes": _outcomes(self._rows),
                "parts": _means(self._rows),
                **_spread(self._rewards, num_generations),
            }
            line["tokens"] = rounded(sum(row.tokens for row in self._rows) / len(self._rows), _DIGITS)
            line["truncated"] = rounded(line["outcomes"][Outcome.TRUNCATED.value] / len(self._rows), _DIGITS)
        line["seconds"] = rounded(total, 3)
        line["shares"] = {name: rounded(seconds / total, 3) for name, seconds in spent.items()}
        self._seconds = dict.fromkeys(self._seconds, 0.0)
        self._rewards, self._rows = None, []
        self._ended = now
        return line


def _outcomes(rows: Sequence[_Row]) -> dict[str, int]:
    found = Counter(row.outcome for row in rows)
    return {outcome.value: found[outcome.value] for outcome in Outcome}


def _means(rows: Sequence[_Row]) -> dict[str, float | None]:
    return {name: rounded(sum(row.parts[name] for row in rows) / len(rows), _DIGITS) for name in rows[0].parts}


def _spread(rewards: Tensor, num_generations: int) -> dict[str, float | None]:
    """Return the mean reward, the mean over groups of their deviation, and the part of groups that have none."""
    deviations = rewards.view(-1, num_generations).std(dim=1)
    return {
        "reward": rounded(float(rewards.mean()), _DIGITS),
        "reward_std": rounded(float(deviations.mean()), _DIGITS + 3),
        "flat_groups": rounded(float((deviations < 1e-6).double().mean()), _DIGITS),
    }


class StepTable:
    """``steps.jsonl`` of a run's folder: a line for each step."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / TABLE

    def until(self, step: int) -> list[dict[str, Any]]:
        """Return the lines of the steps up to one."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        return [line for line in map(_read, lines) if line.get("step", math.inf) <= step]

    def forget(self, step: int) -> None:
        """Drop the lines of the steps behind one, which will be done again."""
        if self.path.exists():
            write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in self.until(step)))

    def add(self, line: Mapping[str, Any]) -> None:
        """Append a line."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _read(line: str) -> dict[str, Any]:
    try:
        return dict(parse_json(line, "a line of the log", kind=dict))
    except InputError:  # cut off in the middle
        return {}
