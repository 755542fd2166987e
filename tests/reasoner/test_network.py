"""The encoder and the decoder: shapes, what words can change, and what must not matter."""

import pytest
import torch

from fiducial.errors import InputError
from fiducial.reasoner.decoder import MaskDecoder, PromptProjection, masked_mean
from fiducial.reasoner.encoder import Encoder, modulate
from fiducial.reasoner.model_configs import EncoderConfig, ReasonerNetworkConfig

SMALL = {"widths": (8, 16, 24, 32), "blocks": (1, 1, 1, 1), "channels": 16}


def encoder(**more):
    torch.manual_seed(0)
    return Encoder(EncoderConfig(**(SMALL | more)), 16).eval()


@pytest.mark.parametrize("backbone", ["convnext", "plain"])
@pytest.mark.parametrize(("levels", "stride"), [(1, 32), (3, 8), (4, 4)])
def test_features_lie_on_the_grid_of_the_finest_level(backbone, levels, stride):
    config = EncoderConfig(**SMALL, backbone=backbone, levels=levels)
    assert config.stride == stride
    made = Encoder(config, 16).eval()
    assert made(torch.rand(2, 3, 64, 64)).shape == (2, 16, 64 // stride, 64 // stride)


def test_coarse_stages_reach_the_features():
    made = encoder(backbone="plain")
    made(torch.rand(1, 3, 64, 64)).square().sum().backward()
    for name, weight in made.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_channels_are_weighed_by_the_whole_picture():
    made = encoder(backbone="plain", levels=1)
    seen = {}
    made.refine[0].register_forward_hook(lambda _, given, out: seen.update(refined=out))
    features = made(torch.rand(1, 3, 64, 64))
    ratio = features / seen["refined"].clamp(min=1e-9)
    here = seen["refined"] > 1e-6
    expected = torch.sigmoid(made.weigh(seen["refined"].mean((-2, -1), keepdim=True))).expand_as(features)
    torch.testing.assert_close(ratio[here], expected[here], rtol=1e-4, atol=1e-5)


def test_a_published_convnext_is_loaded_and_another_make_up_is_refused(tmp_path):
    from transformers import ConvNextConfig, ConvNextModel

    torch.manual_seed(1)
    made = ConvNextModel(ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_scale_init_value=0.5))
    made.save_pretrained(tmp_path)
    config = EncoderConfig(**SMALL, pretrained=str(tmp_path))
    loaded = Encoder(config, 16).backbone.model
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), made.parameters(), strict=True))
    with pytest.raises(InputError, match=r"has widths \(8, 16, 24, 32\)"):
        Encoder(EncoderConfig(**{**SMALL, "widths": (8, 16, 24, 40)}, pretrained=str(tmp_path)), 16)
    saved = Encoder(EncoderConfig(**SMALL, pretrained=str(tmp_path / "gone")), 16, pretrained=False)
    assert isinstance(saved, Encoder)


def test_words_reach_every_block_of_a_conditioned_backbone():
    made = encoder(backbone="plain", conditioned=True)
    pixels, prompts = torch.rand(1, 3, 64, 64).expand(2, -1, -1, -1), torch.randn(2, 16)
    assert torch.allclose(*made(pixels, prompts))  # nothing at first
    blocks = [block for stage in made.backbone.stages for block in stage[1:]]
    for block in blocks:
        torch.nn.init.normal_(block.film.weight)
        assert not torch.allclose(*made(pixels, prompts))
        torch.nn.init.zeros_(block.film.weight)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"blocks": (1, 1)}, "one number per width"),
        ({"levels": 5}, "there are 4 stages"),
        ({"channels": 12}, "multiple of 8"),
        ({"backbone": "plain", "pretrained": "a/b"}, "plain backbone"),
        ({"conditioned": True}, "only the plain backbone"),
    ],
)
def test_encoders_that_cannot_be_are_refused(given, words):
    with pytest.raises(InputError, match=words):
        EncoderConfig(**(SMALL | given))


def test_networks_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="a multiple of 32"):
        ReasonerNetworkConfig(size=100)
    with pytest.raises(InputError, match="at least two different names"):
        ReasonerNetworkConfig(kinds=("skin",))
    assert ReasonerNetworkConfig(size=1024).grid == 512


def test_film_is_one_plus_gamma_times_x_plus_beta():
    x = torch.tensor([[[[2.0]], [[3.0]]]])
    assert modulate(x, torch.tensor([[0.5, -1.0, 10.0, 20.0]])).flatten().tolist() == [13.0, 20.0]


@pytest.mark.parametrize("kind", ["batch", "group"])
def test_logits_are_four_times_as_fine_as_the_features(kind):
    torch.manual_seed(0)
    decoder = MaskDecoder(16, kind, 2).eval()
    logits, presence = decoder(torch.randn(2, 16, 5, 7), torch.randn(2, 16))
    assert logits.shape == (2, 20, 28)
    assert presence.shape == (2,)


def test_words_change_the_mask_and_the_presence():
    torch.manual_seed(0)
    decoder = MaskDecoder(16, "group", 2).eval()
    features = torch.randn(1, 16, 4, 4).expand(2, -1, -1, -1)
    logits, presence = decoder(features, torch.randn(2, 16))
    assert (logits[0] - logits[1]).abs().max() > 1e-3
    assert (presence[0] - presence[1]).abs() > 1e-4


def test_padding_counts_for_nothing_whatever_it_holds():
    torch.manual_seed(0)
    projection = PromptProjection(12, 16, 8)
    states = torch.randn(2, 5, 12)
    counts = torch.tensor([[True] * 5, [False, False, True, True, True]])
    wrong = states.clone()
    wrong[1, :2] = float("nan")
    vectors = projection(wrong, counts)
    torch.testing.assert_close(vectors[1:], projection(states[1:, 2:], counts[1:, 2:]))
    vectors.sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in projection.parameters())
    assert masked_mean(states, counts & False).abs().max() == 0
