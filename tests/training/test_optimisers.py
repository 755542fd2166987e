import pytest
import torch
from torch import nn
from torch.nn import functional

from fiducial.training.optimisers import Muon, make_optimiser, newton_schulz


def test_newton_schulz_brings_singular_values_near_one_and_keeps_the_vectors() -> None:
    torch.manual_seed(0)
    for shape in ((24, 90), (90, 24), (32, 32)):
        matrix = torch.randn(shape)
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        found = left.T @ newton_schulz(matrix) @ right.T
        assert found.diagonal().min() > 0.6
        assert found.diagonal().max() < 1.3
        assert (found - torch.diag(found.diagonal())).abs().max() < 1e-3


def test_newton_schulz_of_nothing_is_nothing() -> None:
    assert newton_schulz(torch.zeros(3, 5)).abs().max() == 0


def network() -> nn.Module:
    torch.manual_seed(1)
    layers = [nn.Conv2d(3, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 24, 3, padding=1)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(24, 1, 3, padding=1))


def test_muon_moves_kernels_by_its_rule_and_the_rest_by_adamw() -> None:
    one, other = network(), network()
    mine, adamw = Muon(one.parameters(), 1e-2, 0.0), make_optimiser("adamw", other.parameters(), 1e-2, 0.0)
    inputs = torch.randn(2, 3, 8, 8)
    before = {name: value.clone() for name, value in one.named_parameters()}
    for each, optimiser in ((one, mine), (other, adamw)):
        each(inputs).square().mean().backward()
        optimiser.step()
    for (name, now), (_, plain) in zip(one.named_parameters(), other.named_parameters(), strict=True):
        if name in {"0.weight", "3.weight"}:
            moved = (before[name] - now).detach().flatten(1) / (0.2 * 1e-2 * now.flatten(1).shape[1] ** 0.5)
            values = torch.linalg.svdvals(moved)
            assert values.max() < 1.3
            assert values.median() > 0.6
        else:
            assert torch.equal(now, plain), name


def test_muon_learns_and_its_state_can_be_kept() -> None:
    torch.manual_seed(2)
    inputs = torch.randn(8, 3, 12, 12)
    wanted = (inputs.mean(1, keepdim=True) > 0).float()

    def steps(model: nn.Module, optimiser: torch.optim.Optimizer, count: int) -> float:
        for _ in range(count):
            loss = functional.binary_cross_entropy_with_logits(model(inputs), wanted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return float(loss.detach())

    whole, halved = network(), network()
    first = Muon(whole.parameters(), 4e-3, 0.01)
    end = steps(whole, first, 30)
    assert end < 0.4
    part = Muon(halved.parameters(), 4e-3, 0.01)
    steps(halved, part, 15)
    again = network()
    again.load_state_dict(halved.state_dict())
    going_on = make_optimiser("muon", again.parameters(), 4e-3, 0.01)
    going_on.load_state_dict(part.state_dict())
    assert steps(again, going_on, 15) == pytest.approx(end, rel=1e-5)


def test_kernels_without_gradient_stay() -> None:
    model = network()
    before = model[0].weight.clone()
    optimiser = Muon(model.parameters(), 1e-2, 0.1)
    model[3](torch.randn(1, 24, 4, 4)).sum().backward()
    optimiser.step()
    assert torch.equal(model[0].weight, before)
