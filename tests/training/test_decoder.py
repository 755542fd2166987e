import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from fiducial.errors import InputError, ModelError, UnknownNameError
from fiducial.geometry import Prompt, Prompts
from fiducial.segmenters.sam import SamSegmenter
from fiducial.training import decoder as module
from fiducial.training.configs import DecoderConfig, DecoderLosses, DecoderPrompting, Source
from fiducial.training.decoder import DecoderTask
from fiducial.training.decoder_data import Embeddings, read_portions
from fiducial.training.decoder_model import TrainedModel, encoder_fingerprint
from fiducial.training.runs import LOCK
from tiny.sam import BUILDERS, save

pytestmark = pytest.mark.usefixtures("one_thread")

SCANS = Source("scenes:phantom?count=40&seed=3&size=96", held_out=0.3, name="scans", licence="drawn, free")
FEW = Source("scenes:shapes?count=8&seed=3&size=96", held_out=0.4, name="few")
BOXES = DecoderPrompting(box=1, box_points=0, points=0, exact=1)


def tiny(folder, family):
    model = BUILDERS[family]()
    with torch.no_grad():
        for name, weight in model.state_dict().items():
            if "vision_encoder.neck" in name and family != "sam":
                weight.mul_(0.1)  # without training its features are so large that attention sees one place only
    return str(save(model, folder / family))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {family: tiny(folder, family) for family in BUILDERS}


def short(model, **more):
    wanted = {"steps": 3, "learning_rate": 3e-3, "batch_size": 2, "eval_every": 2, "save_every": 2, "eval_limit": 4}
    return DecoderConfig(model=model, data=(FEW,), **(wanted | more))


def learning(model):
    return DecoderConfig(
        model=model,
        data=(SCANS,),
        steps=100,
        batch_size=2,
        learning_rate=3e-3,
        min_size=30,
        losses=DecoderLosses(cross_entropy=0, dice=0, structure=1),
        prompts=BOXES,
        eval_every=50,
        eval_limit=30,
        num_threads=1,
    )


def run(config, folder, **more):
    return config.train(".", folder, device="cpu", quiet=True, **more)


def lines(model):
    return [json.loads(line) for line in (model.parent / "log.jsonl").read_text().splitlines()]


def weights(folder):
    tensors = load_file(f"{folder}/model.safetensors")
    return {name.removeprefix("tracker_model."): tensor for name, tensor in tensors.items()}


@pytest.fixture(scope="module", params=["sam", "sam2"])
def learnt(request, models, tmp_path_factory):
    source = models[request.param]
    folder = tmp_path_factory.mktemp("run")
    return request.param, source, run(learning(source), folder / "run", command=["fiducial", "train", "a b"])


def test_it_really_gets_better(learnt):
    _, _, model = learnt
    looks = [line["held_out"] for line in lines(model) if "held_out" in line and "scans" in line]
    assert len(looks) == 3
    assert max(looks[1:]) > looks[0] + 0.15


def test_only_the_decoder_has_changed(learnt):
    _, source, model = learnt
    before, after = weights(source), weights(model)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("mask_decoder.") for name in changed)
    assert not any("conv_s" in name for name in changed)
    assert any("output_hypernetworks_mlps.0" in name for name in changed)
    assert any("transformer" in name for name in changed)


def test_what_is_left_loads_and_scores_as_the_card_says(learnt):
    family, source, model = learnt
    segmenter = SamSegmenter.from_pretrained(model, device="cpu")
    assert segmenter.family.name == family
    config = learning(source)
    (portion,) = read_portions(config, ".")
    ious = []
    for picture, mask in portion.sampled(config):
        prompts = Prompts(mask.frame, (Prompt(mask.frame, box=mask.box),))
        ious.append(segmenter.decode(segmenter.encode(picture.image()), prompts)[0].iou(mask))
    card = (model / "README.md").read_text()
    assert f"| {sum(ious) / len(ious):.3f} |" in card
    assert f"| scans | {len(ious)} |" in card


def test_the_card_tells_where_the_weights_come_from(learnt):
    family, source, model = learnt
    card = (model / "README.md").read_text()
    assert "fiducial train 'a b'" in card
    assert "drawn, free" in card
    assert "30% by picture" in card
    assert f"--segmenter {family}:" in card
    assert "Seed 0" in card
    assert "did not help" not in card
    assert source in card


@pytest.mark.parametrize("family", list(BUILDERS))
@pytest.mark.parametrize("masks", ["single", "best"])
def test_every_family_trains_loads_and_keeps_its_encoder(models, tmp_path, family, masks):
    config = short(models[family], masks=masks, prompt_encoder=masks == "best", upsampling=2 if masks == "best" else 1)
    model = run(config, tmp_path / "run")
    before, after = weights(models[family]), weights(model)
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"mask_decoder", *(["prompt_encoder"] if masks == "best" else [])}
    segmenter = SamSegmenter.from_pretrained(model, device="cpu")
    unstable = getattr(segmenter.model.mask_decoder, "dynamic_multimask_via_stability", None)
    assert unstable in (None, masks == "best")


def test_a_run_that_was_stopped_ends_as_one_that_was_not(models, tmp_path, monkeypatch):
    config = short(
        models["sam"], steps=9, save_every=2, eval_every=3, prompts=DecoderPrompting(max_points=2, negative=0.3)
    )
    whole = run(config, tmp_path / "whole")
    whole_loss = DecoderTask.loss

    def stopping(self, network, batch):
        if self._trainer.step == 5:
            raise KeyboardInterrupt
        return whole_loss(self, network, batch)

    with monkeypatch.context() as patch:
        patch.setattr(DecoderTask, "loss", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "model").exists()
    again = run(replace(config, save_every=4), tmp_path / "stopped")
    one, other = weights(whole), weights(again)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (whole / "README.md").read_text() == (again / "README.md").read_text()
    assert [line["encoded_now"] for line in lines(again) if "encoded_now" in line][1:] == [0]
    scored = [[line["held_out"] for line in lines(model) if "few" in line] for model in (whole, again)]
    assert scored[0] == scored[1]


def test_a_finished_run_writes_its_model_again(models, tmp_path):
    config = short(models["sam"])
    first = weights(run(config, tmp_path / "run"))
    (tmp_path / "run" / "model" / "model.safetensors").unlink()
    second = weights(run(config, tmp_path / "run"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert sorted(path.name for path in (tmp_path / "run" / "model").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    assert [path.name for path in (tmp_path / "run").glob(".*")] == [LOCK]


def test_embeddings_are_shared_between_runs_and_survive_training(models, tmp_path):
    kept = str(tmp_path / "embeddings")
    first = run(short(models["sam"], embeddings=kept), tmp_path / "one")
    second = run(short(models["sam"], embeddings=kept, fraction=0.7), tmp_path / "two")
    third = run(short(str(first), embeddings=kept), tmp_path / "three")
    computed = [
        next(line["encoded_now"] for line in lines(model) if "encoded_now" in line) for model in (first, second, third)
    ]
    assert computed[0] > 0
    assert computed[1:] == [0, 0]
    assert not (first.parent / "embeddings").exists()


def test_a_lost_embedding_is_computed_again(models, tmp_path):
    config = short(models["sam2"])
    model = TrainedModel(config, torch.device("cpu"))
    embeddings = Embeddings(model.segmenter, tmp_path)
    picture = read_portions(config, ".")[0].training[0]
    assert list(embeddings.prepare([picture])) == [1]
    kept = embeddings[picture]
    (path,) = tmp_path.glob("*/*.safetensors")
    path.unlink()
    fresh = embeddings[picture]
    prompts = Prompts(picture.targets[0].frame, (Prompt(picture.targets[0].frame, box=picture.targets[0].box),))
    one, other = (model.logits(each, prompts, 1)[0] for each in (kept, fresh))
    assert one.requires_grad
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_the_fingerprint_is_that_of_the_encoder(models):
    model = TrainedModel(short(models["sam2"], prompt_encoder=True), torch.device("cpu")).model
    before = encoder_fingerprint(model)
    with torch.no_grad():
        model.mask_decoder.iou_token.weight.add_(1)
        assert encoder_fingerprint(model) == before
        model.mask_decoder.conv_s0.weight.add_(1)
    assert encoder_fingerprint(model) != before


def test_a_decoder_that_got_worse_says_so(models, tmp_path):
    config = short(models["sam"], learning_rate=1e-9, eval_prompt="point", masks="single", fraction=0.8)
    card = (run(config, tmp_path / "run") / "README.md").read_text()
    assert "**Training did not help" in card
    assert "one point well inside" in card
    assert "Of the training pictures 80% was used." in card
    assert "not stated in the configuration" in card
    assert "from Python" in card


def test_progress_is_told_while_pictures_are_encoded(models, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LOG_EVERY", 1)
    model = run(short(models["sam"], eval_prompt="jittered_box"), tmp_path / "run")
    told = [line for line in lines(model) if "encoded" in line]
    assert [line["encoded"] for line in told] == [*range(1, told[0]["of"] + 1)]
    assert "by up to 15%" in (model / "README.md").read_text()


def test_losses_that_are_no_longer_finite_end_the_run(models, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "losses", lambda *_: {"all": torch.tensor(float("nan"), requires_grad=True)})
    with pytest.raises(ModelError, match="step 0: the loss is no longer a finite number: try a smaller learning_rate"):
        run(short(models["sam"]), tmp_path / "run")


def test_wrong_models_are_named(models, tmp_path):
    other = tmp_path / "bert"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "bert"}')
    (other / "model.safetensors").write_bytes(b"")
    with pytest.raises(UnknownNameError, match="segmenter model_type 'bert'"):
        run(short(str(other)), tmp_path / "run")
    with pytest.raises(InputError, match="the folder or the hub's id alone, 'facebook/sam-vit-base'"):
        run(short("sam:facebook/sam-vit-base"), tmp_path / "run")
    with pytest.raises(InputError, match="no such folder"):
        run(short(str(tmp_path / "none")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_configuration_does_not_go_on_with_a_run(models, tmp_path):
    run(short(models["sam"]), tmp_path / "run")
    with pytest.raises(InputError, match="seed: 0 there, 1 now"):
        run(short(models["sam"], seed=1), tmp_path / "run")


def test_a_folder_that_cannot_be_written_is_named(models, tmp_path, monkeypatch):
    model = TrainedModel(short(models["sam"]), torch.device("cpu"))

    def full(folder):
        raise OSError("no space left")

    monkeypatch.setattr(model.model, "save_pretrained", full)
    with pytest.raises(InputError, match=r"model: the model cannot be written \(no space left\)"):
        model.write(tmp_path / "model", "card")
