"""Guards: what stops a run of reinforcement learning that no longer learns what it should."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fiducial.errors import ModelError
from fiducial.training.grpo_configs import GrpoConfig

_FINITE = ("loss", "grad_norm", "kl", "reward", "reward_std")
_GO_ON = "what was saved stays: the same command goes on from the last checkpoint"


class Watchdog:
    """Looks at the line of each step, as ``steps.jsonl`` has it."""

    def __init__(self, config: GrpoConfig) -> None:
        self._guards, self._config = config.guards, config
        self._bad: Counter[str] = Counter()
        self._limits: tuple[tuple[str, float | None, Callable[[float, float], bool], str], ...] = (
            (
                "reward_std",
                self._guards.min_reward_std,
                lambda value, limit: value <= limit,
                "all answers to a question earn the same, so that nothing is learned: look at pictures/ and at the "
                "parts of the reward in steps.jsonl; raise temperature, take a reward that tells answers apart, or a "
                "model that was trained to answer first",
            ),
            (
                "kl",
                self._guards.max_kl,
                lambda value, limit: value > limit,
                "the policy runs away from the model it came from: start another run with a smaller learning_rate or a "
                "larger beta",
            ),
            (
                "truncated",
                self._guards.max_truncated,
                lambda value, limit: value > limit,
                "answers run to max_new_tokens: raise it, start from a model that was trained to end its answers, or "
                "start another run with a smaller learning_rate",
            ),
        )

    def begin(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take the lines of the steps that were done before."""
        for line in lines:
            self._count(line)

    def check(self, line: Mapping[str, Any]) -> None:
        """Stop the run, if it is time.

        Raises:
            ModelError: with the step, the value and what to do.
        """
        step = line["step"]
        for name in _FINITE:
            if name in line and (line[name] is None or not math.isfinite(line[name])):
                raise ModelError(
                    f"step {step}: {name} is no longer a finite number: start another run with a smaller learning_rate "
                    f"({self._config.learning_rate:g} now), or compute in float32; {_GO_ON}"
                )
        self._count(line)
        for name, limit, _, advice in self._limits:
            if self._bad[name] >= self._guards.patience:
                raise ModelError(
                    f"step {step}: {name} is {line[name]:g} (limit {limit:g}), and past its limit for "
                    f"{self._bad[name]} steps in a row: {advice}; {_GO_ON}, and guards.patience says how long it waits"
                )

    def _count(self, line: Mapping[str, Any]) -> None:
        for name, limit, is_bad, _ in self._limits:
            value = line.get(name)
            if limit is not None and value is not None:
                self._bad[name] = self._bad[name] + 1 if is_bad(value, limit) else 0
