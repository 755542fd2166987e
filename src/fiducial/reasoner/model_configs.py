"""What the joint model can be given: the make-up of all but its language model, and how it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from fiducial.checkpoints import Dtype
from fiducial.config import Config, option
from fiducial.errors import InputError
from fiducial.prompters.decoding_configs import DecodingConfig, check_decoding

if TYPE_CHECKING:
    from fiducial.reasoner.prompter import CGReasonerPrompter


@dataclass(frozen=True, slots=True)
class EncoderConfig(Config):
    """What sees the picture: the paper's ConvNeXt, or plain convolutions, which learn faster on CPUs."""

    backbone: Literal["convnext", "plain"] = option("convnext", "ConvNeXt as published, or residual 3 x 3 convolutions")
    pretrained: str = option(
        "", "convnext: a folder or an id of the hub to take weights and make-up from; none: random weights"
    )
    widths: tuple[int, ...] = option((96, 192, 384, 768), "channels at strides 4, 8, 16, ...", minimum=1)
    blocks: tuple[int, ...] = option((3, 3, 9, 3), "blocks at each of them; those of ConvNeXt-Tiny", minimum=1)
    levels: int = option(3, "how many of the last stages are summed; the finest of them is the grid", minimum=1)
    channels: int = option(256, "of what comes out, and of the decoder", minimum=8)
    norm: Literal["batch", "group"] = option(
        "batch", "behind the convolutions that refine and decode; batch as published, group for small batches"
    )
    conditioned: bool = option(
        False, "plain: let the words scale and shift every block, not the decoder alone; not in the paper"
    )

    def check(self) -> None:
        """Refuse levels that there are not, and options of the other backbone."""
        if len(self.blocks) != len(self.widths):
            raise InputError(f"blocks: needs one number per width, {len(self.widths)}, got {len(self.blocks)}")
        if self.levels > len(self.widths):
            raise InputError(f"levels: there are {len(self.widths)} stages, got {self.levels}")
        if self.channels % 8:
            raise InputError(f"channels: a multiple of 8 is needed, got {self.channels}")
        if self.backbone == "plain" and self.pretrained:
            raise InputError("pretrained: there are no weights of the plain backbone to begin with")
        if self.backbone == "convnext" and self.conditioned:
            raise InputError("conditioned: only the plain backbone can be conditioned on words")

    @property
    def stride(self) -> int:
        """Pixels of the square picture along a cell of the features."""
        return int(4 * 2 ** (len(self.widths) - self.levels))

    @property
    def coarsest(self) -> int:
        """Pixels along a cell of the last stage: the picture's edge is a multiple of it."""
        return int(4 * 2 ** (len(self.widths) - 1))


@dataclass(frozen=True, slots=True)
class ReasonerNetworkConfig(Config):
    """The make-up of all that is not the language model."""

    encoder: EncoderConfig = option(EncoderConfig(), "what sees the picture")
    size: int = option(
        1024, "edge of the square to which the encoder's picture is stretched", unit="pixels", minimum=32
    )
    hidden_size: int = option(
        512, "of the layer between the language model's states and the prompt", minimum=8, maximum=65_536
    )
    expansion: int = option(4, "how much wider the inner layer of a MixFFN is", minimum=1, maximum=64)
    states: Literal["question", "prompt", "answer"] = option(
        "question",
        "which of the language model's last states prompt the decoder: those of the question's tokens; of everything "
        "up to the answer, picture and all; or of the answer too, as published, where training sees the true answer",
    )
    words_see_mask: bool = option(
        False,
        "let the coordinates of the mask that was found join the words' states, so that they are about this mask; not "
        "in the paper",
    )
    kinds: tuple[str, ...] = option(
        (),
        "kinds of pictures that a head tells apart, as `subjects.yaml` has them in the published order; none: no head",
    )

    def check(self) -> None:
        """Refuse a square that the backbone cannot halve, and kinds that are called alike."""
        if self.size % self.encoder.coarsest:
            raise InputError(f"size: a multiple of {self.encoder.coarsest} for this encoder is needed, got {self.size}")
        if self.words_see_mask and self.states == "answer":
            raise InputError("words_see_mask: the mask is drawn before the words, so states cannot be answer")
        if len({*self.kinds}) != len(self.kinds) or len(self.kinds) == 1:
            raise InputError(f"kinds: at least two different names, or none, are needed, got {self.kinds}")

    @property
    def grid(self) -> int:
        """Edge of the decoder's logits in cells: four times that of the encoder's features."""
        return 4 * self.size // self.encoder.stride


# -- asking it ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CGReasonerConfig(Config):
    """CG-Reasoner: one model answers a question in words and draws the mask itself; no segmenter is needed."""

    kind: ClassVar[str] = "prompter"
    name: ClassVar[str] = "cg-reasoner"
    extra: ClassVar[str] = "models"
    draws: ClassVar[bool] = True
    """Whether what it answers comes with masks, so that a recipe needs no segmenter."""

    model: str = option(
        "",
        "cg-reasoner-nano of the package, or RUN/model of a run of `fiducial train cg-reasoner`",
        positional=True,
    )
    point: Literal["words", "mask"] | None = option(
        None,
        "the point of the prompt: where the words' states place the target's middle, or deepest inside the mask, which "
        "another segmenter cuts better by; none: words where the model was trained to place, else mask",
    )
    presence: float = option(
        0.5, "least probability of a target being there; below it nothing is marked", minimum=0, maximum=1
    )
    threshold: float = option(0.5, "least probability of a pixel of the mask", above=0, maximum=0.999)
    max_new_tokens: int = option(128, "most tokens of an answer", minimum=1)
    decode: DecodingConfig | None = option(
        None, "how the next token of the words is chosen: semantic, or none for the likeliest"
    )
    batch_size: int = option(4, "most questions at once", minimum=1)
    device: str = option("auto", "auto, cpu, cuda, cuda:1, ...")
    dtype: Dtype = option("auto", "of the language model; auto is that of its checkpoint")
    local_files_only: bool = option(False, "never ask the network for the base of adapters")

    def check(self) -> None:
        """Refuse a temperature: the likeliest token is taken."""
        check_decoding(self.decode, draws=False)

    def build(self) -> CGReasonerPrompter:
        """Load the folder."""
        if not self.model:
            raise InputError(
                "prompter 'cg-reasoner': name the folder of a trained joint model, --prompter cg-reasoner:FOLDER: "
                "`fiducial train cg-reasoner CONFIG --out RUN` leaves one at RUN/model, and a small one comes with the "
                "package: --prompter cg-reasoner:cg-reasoner-nano"
            )
        from fiducial.reasoner.prompter import CGReasonerPrompter

        return CGReasonerPrompter.from_config(self)
