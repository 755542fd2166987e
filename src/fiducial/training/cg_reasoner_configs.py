"""What the training of CG-Reasoner's joint model can be given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from fiducial.checkpoints import Dtype
from fiducial.config import Config, option
from fiducial.errors import InputError
from fiducial.reasoner.model_configs import ReasonerNetworkConfig
from fiducial.reasoner.questions import Phrasing
from fiducial.training.configs import RunConfig, Source, check_data
from fiducial.training.nano_vlm_configs import NanoVLMNetwork
from fiducial.training.sft_configs import Lora


@dataclass(frozen=True, slots=True)
class ReasonerSource(Source):
    """One dataset of pictures with masks, and what is asked about them."""

    questions: Literal["written", "dataset"] = option(
        "written",
        "written: from the masks, by PRS-Med's rules, anew at every draw; dataset: its own, as PRS-Med's CSVs",
    )
    subject: str = option("", "what is asked for, such as polyp; none: each sample's meta says it as target")
    modality: str = option("", "kind of picture; needed where several have such a target, and for a head of kinds")
    sides: Literal["image", "radiological", "neurological"] = option(
        "image", "whose left and right written answers name: the picture's, or the patient's by a convention"
    )
    scale: tuple[float, float] = option(
        (1.0, 1.0), "smallest and largest scale at which pictures are trained on; needs written questions", above=0
    )
    one_channel: tuple[float, float, float] = option(
        (0.0, 0.0, 0.0),
        "chance of a picture being shown in grey, by its first, second or third channel alone: scans that lie together "
        "as channels, such as FLAIR, are met alone",
        minimum=0,
        maximum=1,
    )

    stripped: float = option(
        0.0,
        "chance of a head being shown without skull and skin, its brightness stretched over what is left, as scans are "
        "that were prepared for research",
        minimum=0,
        maximum=1,
    )

    def check(self) -> None:
        """Refuse names that nobody knows, and moves under which given answers would no longer be true."""
        from fiducial.reasoner.subjects import find_modality, find_subject

        if self.modality:
            find_modality(self.modality)
        if self.subject:
            find_subject(self.subject, self.modality)
        if self.scale[0] > self.scale[1]:
            raise InputError(f"{self.dataset}: a scale is smallest, largest, got {self.scale}")
        if sum(self.one_channel) > 1:
            raise InputError(f"{self.dataset}: chances of one_channel sum to 1 at most, got {self.one_channel}")
        if self.questions == "dataset" and (self.subject or self.scale != (1.0, 1.0) or self.sides != "image"):
            raise InputError(f"{self.dataset}: subject, sides and scale are for written questions")


@dataclass(frozen=True, slots=True)
class ReasonerLosses(Config):
    """How much each loss counts; those with 0 are not computed. The paper names no weights."""

    dice: float = option(1.0, "one minus the soft Dice coefficient of the mask, empty ones included", minimum=0)
    cross_entropy: float = option(1.0, "binary cross-entropy of the mask's pixels", minimum=0)
    structure: float = option(
        0.0,
        "pixels near the edge count more, in place of the two above. The published code asks for reduce='none', which "
        "makes its cross-entropy one plain mean and only the IoU weighted; here both are, as F3Net defines it",
        minimum=0,
    )
    words: float = option(1.0, "cross-entropy of the answer's tokens, and of no others", minimum=0)
    spatial: float = option(
        1.0, "smooth L1 between the true centroid and the place that the frozen head reads off the states", minimum=0
    )
    sentence: float = option(
        0.0,
        "one minus the cosine between the projected states and the frozen sentence encoder's vector of the answer",
        minimum=0,
    )
    presence: float = option(0.15, "binary cross-entropy of a target being there at all", minimum=0)
    kinds: float = option(0.0, "cross-entropy of the kind of picture; needs network.kinds", minimum=0)

    def check(self) -> None:
        """Refuse a run without a loss of the masks."""
        if not self.dice + self.cross_entropy + self.structure:
            raise InputError("losses: one of dice, cross_entropy and structure is needed")


@dataclass(frozen=True, slots=True, kw_only=True)
class CGReasonerRunConfig(RunConfig):
    """The joint model of CG-Reasoner: masks and words of one vision-language model, from any datasets with masks."""

    kind: ClassVar[str] = "training"
    name: ClassVar[str] = "cg-reasoner"
    extra: ClassVar[str] = "train"
    task: ClassVar[str] = "fiducial.training.cg_reasoner:CGReasonerTask"
    changeable: ClassVar[frozenset[str]] = RunConfig.changeable | {"num_workers", "eval_batch_size"}

    model: str = option("", "the vision-language model to start from: a folder or an id of the hub")
    made: NanoVLMNetwork | None = option(
        None, "make-up of a small language model in place of model, from nothing, with the words that training holds"
    )
    initial: str = option(
        "", "RUN/model of an earlier run to go on from, in place of model; what is new in network begins from nothing"
    )
    learn: Literal["all", "masks", "words"] = option(
        "all",
        "masks: of an earlier run's model (initial) teach encoder and decoder alone, whose masks its words follow; "
        "words: of one teach nothing but what joins words and mask, by true masks (network.words_see_mask): no picture "
        "is searched, and a step takes a part of the time",
    )
    head: str = option(
        "text2centroid",
        "frozen head of Text2Centroid: the package's, or a file that `fiducial train text2centroid` left",
    )
    sentences: str = option("minilm", "sentence encoder of the sentence term: that of the head, or its folder")
    data: tuple[ReasonerSource, ...] = option(help="what to learn from")
    network: ReasonerNetworkConfig = option(ReasonerNetworkConfig(), "make-up of all but the language model")
    losses: ReasonerLosses = option(ReasonerLosses(), "weights of the losses")
    lora: Lora | None = option(
        Lora(rank=16, alpha=16, dropout=0.1, target_modules=("q_proj", "k_proj", "v_proj", "o_proj")),
        "adapters of the language model, those of the published code; none: all its weights are trained",
    )
    train_vision: bool = option(False, "train the language model's own vision tower too")
    language_rate: float = option(1.0, "the language model's learning rate, as a part of all others'", above=0)
    absent: float = option(
        0.1,
        "part of the written questions that ask for a target of another kind of picture, so that nothing is there",
        minimum=0,
        maximum=1,
    )
    recolour: bool = option(False, "change colours by chance, as other cameras and scanners would")
    epochs: int = option(20, "how many pictures are drawn, in passes over all that is trained on", minimum=1)
    steps: int = option(0, "optimiser steps; 0: as many as the epochs take", minimum=0)
    batch_size: int = option(4, "pictures per step", minimum=1)
    learning_rate: float = option(1e-4, "the highest one, after the warm-up; it falls along a cosine", above=0)
    warmup_ratio: float = option(0.0, "part of all steps in which the learning rate rises", minimum=0, maximum=0.99)
    weight_decay: float = option(1e-5, "of all weights but biases and normalisation", minimum=0)
    ema_decay: float = option(0.0, "of the moving average of the weights, which is kept; 0: none", minimum=0, maximum=1)
    dtype: Dtype = option("auto", "of the language model's weights; auto is that of the checkpoint")
    autocast: bool = option(False, "compute in bfloat16")
    eval_every: int = option(500, "steps between two evaluations on the held-out part", minimum=1)
    eval_limit: int = option(100, "largest number of held-out pictures per source and evaluation", minimum=1)
    eval_phrasing: Phrasing = option(
        "held_out", "wordings in which held-out pictures are asked about: those never trained on, or those that are"
    )
    eval_batch_size: int = option(8, "held-out pictures that are asked about at once", minimum=1)
    max_new_tokens: int = option(64, "most tokens of an answer when held-out pictures are asked about", minimum=1)
    num_workers: int = option(0, "processes that draw pictures ahead of time; 0: none", minimum=0)

    def with_steps(self, steps: int) -> Self:
        """Return the configuration with another number of optimiser steps, in place of its epochs."""
        return self.with_settings({"steps": steps})

    def _check_learned(self) -> None:
        if self.learn == "masks" and not self.initial:
            raise InputError("learn: masks alone are taught to an earlier model: give initial")
        if self.learn == "words" and not (self.initial and self.network.words_see_mask):
            raise InputError("learn: words alone are taught to an earlier model: initial, and network.words_see_mask")

    def check(self) -> None:
        """Refuse a run without data, and options that do not go together."""
        check_data(self.data)
        if sum((bool(self.model), self.made is not None, bool(self.initial))) != 1:
            raise InputError(
                "model, made, initial: give one of the language model to start from, the make-up of a new one, or an "
                "earlier run's joint model"
            )
        if self.initial and self.lora is not None:
            raise InputError("initial: all weights of an earlier run's model are trained on: lora=none")
        self._check_learned()
        if self.made is not None and (self.lora is not None or not self.train_vision):
            raise InputError("made: all of a new language model has to be trained: lora=none, train_vision=true")
        if not any(source.scored for source in self.data):
            raise InputError("data: one dataset has to be scored, as the best weights are chosen by its held-out part")
        if bool(self.losses.kinds) != bool(self.network.kinds):
            raise InputError(
                "losses.kinds and network.kinds: a head of kinds is trained by its loss: give both or none"
            )
        for source in self.data if self.network.kinds else ():
            if source.modality not in self.network.kinds:
                raise InputError(
                    f"{source.dataset}: its modality {source.modality!r} is none of network.kinds, "
                    f"{', '.join(self.network.kinds)}"
                )
        if self.network.encoder.norm == "batch" and self.batch_size < 2:
            raise InputError("batch_size: batch normalisation needs two; or take network.encoder.norm=group")
