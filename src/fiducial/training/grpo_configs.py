"""What reinforcement learning of vision-language models can be given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, cast

from fiducial.config import Config, fields_of, option
from fiducial.errors import InputError
from fiducial.rewards.configs import RewardConfig
from fiducial.training.sft_configs import PrompterRunConfig


@dataclass(frozen=True, slots=True)
class Guards(Config):
    """When a run is stopped because it no longer learns what it should; what was saved stays, and goes on from there.

    A value that is no finite number, in loss, gradients, KL or rewards, always stops the run.
    """

    patience: int = option(50, "steps in a row that a thing goes wrong before the run is stopped", minimum=1)
    min_reward_std: float | None = option(
        1e-6, "stop where rewards of one group differ by no more, on average; none: never", minimum=0
    )
    max_kl: float | None = option(
        2.0, "stop where the policy is further from the model it came from; none: never", unit="nats per token", above=0
    )
    max_truncated: float | None = option(
        0.9, "stop where more answers than this part run to max_new_tokens; none: never", minimum=0, maximum=1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpoConfig(PrompterRunConfig):
    """A vision-language model that learns from rewards for its answers, by TRL's GRPOTrainer; defaults of Think2Seg-RS.

    Each step asks ``batch_size`` questions, ``num_generations`` times each, and rewards what was answered.
    """

    kind: ClassVar[str] = "training"
    name: ClassVar[str] = "grpo"
    changeable: ClassVar[frozenset[str]] = PrompterRunConfig.changeable | {"guards", "pictures_every", "vllm_server"}

    reward: Annotated[Config, "reward"] = option(
        help="what an answer is worth; its dialect and canvas are the answers'"
    )
    eval_segmenter: Annotated[Config, "segmenter"] = option(
        "nano", "frozen; cuts held-out answers where the reward cuts no masks"
    )
    num_generations: int = option(16, "answers to each question, compared with each other", minimum=2)
    batch_size: int = option(4, "questions per step, over all processes", minimum=1)
    completions_at_once: int = option(16, "answers in one forward and backward pass of a process", minimum=1)
    num_iterations: int = option(1, "steps that learn from the same answers", minimum=1)
    learning_rate: float = option(1e-6, "the highest one, after the warm-up; for adapters about 10 times it", above=0)
    schedule: Literal["linear", "cosine", "constant"] = option("linear", "how the learning rate falls")
    max_grad_norm: float = option(1.0, "norm to which the gradient is clipped", above=0)
    beta: float = option(0.001, "weight of the divergence (KL) from the first model; 0: none is loaded", minimum=0)
    epsilon: float = option(0.2, "how far a token's probability may move in one update, either way", above=0)
    temperature: float = option(1.0, "of the answers that are rewarded; held-out answers are the likeliest", above=0)
    top_k: int = option(0, "draw from the likeliest tokens only; 0: from all", minimum=0)
    max_new_tokens: int = option(
        1024, "most tokens of an answer, when it is rewarded and when it is evaluated", minimum=1
    )
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = option(
        "grpo", "how tokens are averaged: per answer (grpo), per batch (bnpo, dapo), by the most tokens (dr_grpo)"
    )
    scale_rewards: Literal["group", "batch", "none"] = option(
        "group", "divide advantages by the deviation of their group or batch; none is kinder to small models"
    )
    mask_truncated: bool = option(False, "learn nothing from answers that ran to max_new_tokens")
    guards: Guards = option(Guards(), "when to stop")
    pictures_every: int = option(100, "steps between two pictures of answers with their masks; 0: none", minimum=0)
    share_questions: bool = option(
        True, "compute a question once for all its answers, with the same result (LLaVA; others: as TRL does it)"
    )
    vllm_server: str | None = option(None, "address of `trl vllm-serve`, which then answers; none: transformers does")
    save_every: int = option(100, "steps between two checkpoints", minimum=1)
    activation_checkpointing: bool = option(False, "compute activations twice to save memory")

    def check(self) -> None:
        """Refuse a run whose answers do not fit into its batches, or whose reward reads another dialect."""
        super(GrpoConfig, self).check()
        each = self.batch_size * self.num_generations
        if each % self.completions_at_once:
            raise InputError(
                f"completions_at_once={self.completions_at_once} does not divide the {each} answers of a step "
                f"(batch_size={self.batch_size} x num_generations={self.num_generations})"
            )
        if self.save_every % self.num_iterations:
            raise InputError(
                f"save_every={self.save_every} needs to be a multiple of num_iterations={self.num_iterations}: "
                "answers that are learned from again are not saved"
            )
        self.rewarding()

    def rewarding(self) -> RewardConfig:
        """Return the reward with the dialect and the canvas of the answers.

        Raises:
            InputError: it was given others.
        """
        reward = cast(RewardConfig, self.reward)
        usual = {field.name: field.default for field, _ in fields_of(type(reward))}
        answers = {"dialect": self.answers.dialect, "canvas": self.answers.canvas}
        for name, wanted in answers.items():
            if getattr(reward, name) not in (usual[name], wanted):
                raise InputError(
                    f"reward: its {name} is {getattr(reward, name)!r}, the answers' is {wanted!r}: leave it out there"
                )
        return replace(reward, dialect=self.answers.dialect, canvas=self.answers.canvas)

    @property
    def num_questions(self) -> int:
        """How many questions all steps ask."""
        return -(-self.steps // self.num_iterations) * self.batch_size

    def _loop(self) -> Callable[..., Path]:
        from fiducial.training.grpo import train_grpo

        return train_grpo
