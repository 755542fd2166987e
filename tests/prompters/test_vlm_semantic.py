"""Semantic sampling in ``generate``, against a slow literal reading of the rule."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LogitsProcessor, LogitsProcessorList

import fiducial
from fiducial.config import read_part
from fiducial.errors import InputError, ModelError
from fiducial.images import Image
from fiducial.language.semantic_sampling import ArrayVectors, NeighbourTable, content_tokens, neighbour_table
from fiducial.prompters.decoding_configs import SemanticConfig
from fiducial.prompters.model_configs import VLMConfig
from fiducial.prompters.vlm import VLMPrompter
from fiducial.prompters.vlm.semantic import SemanticSampling, TensorVectors, warpers_of
from tiny.vlm import BUILDERS

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = [
    Image(np.random.default_rng(seed).integers(0, 256, (60, 80, 3), dtype=np.uint8), name=f"{seed}.png")
    for seed in range(3)
]
WORDS = ["the dog", "the two largest ships near the pier", "x"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {family: build(tmp_path_factory.mktemp(family)) for family, build in BUILDERS.items()}


@pytest.fixture
def load(folders, tmp_path):
    def made(family="qwen3_vl", decode="semantic", **options):
        told = read_part("decoding", decode) if isinstance(decode, str) else decode
        told = told and replace(told, cache=tmp_path / "tables")
        usual = {"max_new_tokens": 6, "device": "cpu", "local_files_only": True, "dtype": "float32", "stop": "never"}
        return VLMPrompter.from_pretrained(folders[family], decode=told, **{**usual, **options})

    return made


# -- the rule, literally --------------------------------------------------------------------------------


def literal_scores(p, table, config):
    """Return the score of each candidate by token, or None where the model's own way decides."""
    candidates, mass = [], 0.0
    for token in sorted(range(len(p)), key=lambda token: -p[token]):
        if config.top_m is not None and len(candidates) == config.top_m:
            break
        if config.top_p is not None and candidates and mass >= config.top_p:
            break
        candidates.append(token)
        mass += p[token]
    if any(not table.content[token] for token in candidates):
        return None
    scores = {}
    for token in candidates:
        score = p[token] if config.include_self else 0.0
        for neighbour, cosine in zip(table.ids[token], table.cosines[token], strict=True):
            score += max(0.0, float(cosine)) * p[neighbour]
        scores[token] = score
    return scores


@st.composite
def steps(draw):
    """Draw a table, logits (rows, V) that are well apart, and constants of the rule."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size, rows, k = draw(st.integers(2, 30)), draw(st.integers(1, 4)), draw(st.integers(1, 5))
    content = rng.random(size) < draw(st.sampled_from([0.7, 0.95, 1.0]))
    table = neighbour_table(rng.normal(size=(size, 3)).astype(np.float32), content, k)
    spread = draw(st.sampled_from([0.05, 0.3, 1.0]))
    # Sums of probabilities that lie on top_p to the last bit would be decided by rounding.
    logits = np.stack([rng.permutation(size) for _ in range(rows)]) * spread + rng.random((rows, 1)) * 1e-3
    top_m, top_p = draw(st.sampled_from([None, 1, 3, 100])), draw(st.sampled_from([None, 0.1234567, 0.77654321, 1.0]))
    if top_m is None and top_p is None:
        top_m = 5
    config = SemanticConfig(
        top_m=top_m,
        top_p=None if top_p == 1.0 and top_m is not None else top_p,
        k=k,
        include_self=draw(st.booleans()),
        temperature=draw(st.sampled_from([None, 0.1, 2.0])),
    )
    return table, logits, config


@given(steps())
def test_the_rule_is_the_literal_one(step):
    table, logits, config = step
    if config.top_p == 1.0:  # the sum reaches 1 in the last bits, sooner or later
        config = replace(config, top_p=0.999987)
    scores = torch.from_numpy(logits).float()
    processor = SemanticSampling(table, config, "cpu")
    found = processor(torch.zeros(len(logits), 1, dtype=torch.int64), scores.clone())
    probabilities = torch.softmax(scores.double(), dim=-1).numpy()
    deferred = 0
    for row, p in enumerate(probabilities):
        expected = literal_scores(p, table, config)
        if expected is None:
            deferred += 1
            assert torch.equal(found[row], scores[row])
            continue
        whole = np.full(len(p), -np.inf)
        for token, score in expected.items():
            whole[token] = score / (config.temperature or 1.0)
        np.testing.assert_allclose(found[row].numpy(), whole, rtol=1e-4, atol=1e-6)
    assert processor.counts["deferred"] == deferred
    assert processor.counts["steps"] == len(logits)


def likely(**shares):
    """Return log-probabilities over the five words of TABLE."""
    p = np.full(5, 1e-6)
    for name, share in shares.items():
        p[NAMES.index(name)] = share
    return torch.from_numpy(np.log(p / p.sum()))[None].float()


NAMES = ["below", "above", "over", "upper", "END"]
TABLE = NeighbourTable(
    ids=np.array([[1, 2], [2, 3], [1, 3], [1, 2], [4, 4]], np.int32),
    cosines=np.array([[-0.2, 0.1], [0.9, 0.8], [0.9, 0.7], [0.8, 0.7], [0, 0]], np.float32),
    content=np.array([True, True, True, True, False]),
)
"""What the paper is about: one antonym is likelier than each of three words for the other direction."""


def chosen(scores, **options):
    processor = SemanticSampling(TABLE, SemanticConfig(**options), "cpu")
    found = processor(torch.zeros(1, 1, dtype=torch.int64), scores)
    return NAMES[int(found[0].argmax())], processor.counts


def test_words_of_one_meaning_win_together():
    flipped = likely(below=0.4, above=0.25, over=0.2, upper=0.15)
    assert NAMES[int(flipped[0].argmax())] == "below"
    assert chosen(flipped) == ("above", {"steps": 1, "deferred": 0, "changed": 1})
    assert chosen(flipped, top_p=0.3)[0] == "below"  # the only candidate
    assert chosen(flipped, top_m=1)[0] == "below"
    # Without itself a word has what its neighbours have: 0.8 x 0.25 + 0.7 x 0.2 for "upper", 0.33 for "over".
    assert chosen(flipped, include_self=False)[0] == "upper"


def test_a_candidate_that_may_end_the_reply_leaves_it_to_the_model():
    ending = likely(below=0.38, above=0.2, over=0.15, upper=0.12, END=0.15)
    assert chosen(ending, top_p=1.0) == ("below", {"steps": 1, "deferred": 1, "changed": 0})
    assert chosen(ending, top_p=0.55)[0] == "above"  # END is no candidate


def test_ended_rows_are_not_counted():
    processor = SemanticSampling(TABLE, SemanticConfig(), "cpu").begin(2, [4])
    scores = likely(below=0.4, above=0.25, over=0.2, upper=0.15).repeat(3, 1)
    processor(torch.tensor([[0, 4], [0, 4], [0, 1]]), scores)  # prompts may end as replies do
    assert processor.counts["steps"] == 3
    processor(torch.tensor([[0, 4, 4], [0, 4, 1], [0, 1, 0]]), scores)
    assert processor.counts == {"steps": 5, "deferred": 0, "changed": 5}


def test_a_head_of_another_size_is_refused():
    with pytest.raises(ModelError, match="scores 4 tokens, and its embedding has 5 rows"):
        chosen(torch.zeros(1, 4))


def test_the_models_own_draws_are_narrowed_as_generate_narrows_them():
    scores = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 50))).float()
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    usual = LogitsProcessorList([TemperatureLogitsWarper(0.7), TopKLogitsWarper(20), TopPLogitsWarper(0.8)])
    mine = LogitsProcessorList(warpers_of({"temperature": 0.7, "top_k": 20, "top_p": 0.8}))
    ids = torch.zeros(4, 1, dtype=torch.int64)
    assert torch.equal(mine(ids, scores.clone()), usual(ids, scores.clone()))
    assert warpers_of({"temperature": 1.0, "top_k": None, "top_p": 1.0}) == []
    assert warpers_of({"temperature": None, "top_k": 0, "top_p": None}) == []


# -- in generate ------------------------------------------------------------------------------------


class Watch(LogitsProcessor):
    """Keeps what goes into a processor and what comes out."""

    def __init__(self, inner):
        self.inner, self.seen = inner, []

    def __call__(self, ids, scores):
        found = self.inner(ids, scores.clone())
        self.seen.append((ids.clone(), scores.clone(), found.clone()))
        return found


def watched(monkeypatch, prompter):
    watches = []

    def chosen_by(start):
        chosen = prompter.model.generation_config
        watches.append(Watch(prompter._decoding.begin(start, [*chosen.eos_token_id, chosen.pad_token_id])))
        return {"logits_processor": [watches[-1]]}

    monkeypatch.setattr(prompter, "_chosen_by", chosen_by)
    return watches


@pytest.mark.parametrize("family", BUILDERS)
def test_replies_are_those_of_the_literal_rule(load, monkeypatch, family):
    """Token by token, over a batch: what ``generate`` wrote is what the literal rule says of the model's logits."""
    config = SemanticConfig(k=4, top_m=6, top_p=None)
    prompter = load(family, decode=config, batch_size=3)
    weight = prompter.model.get_input_embeddings().weight.detach().numpy()
    content = content_tokens(prompter.processor.tokenizer, len(weight))
    table = neighbour_table(weight, content, 4, block=100)
    watches = watched(monkeypatch, prompter)
    prompter.ask(IMAGES, WORDS)
    (watch,) = watches
    steps, changed, deferred = 0, 0, 0
    ends = {*prompter.model.generation_config.eos_token_id}
    for (ids, scores, _), (after, _, _) in zip(watch.seen[:-1], watch.seen[1:], strict=True):
        assert after.shape[1] == ids.shape[1] + 1
        for row, p in enumerate(torch.softmax(scores.double(), dim=-1).numpy()):
            if len(watch.seen) and ids.shape[1] > watch.seen[0][0].shape[1] and int(ids[row, -1]) in ends:
                continue
            steps += 1
            expected = literal_scores(p, table, config)
            if expected is None:
                deferred += 1
                assert int(after[row, -1]) == p.argmax()
                continue
            ranked = sorted(expected.values(), reverse=True)
            if len(ranked) == 1 or ranked[0] - ranked[1] > 1e-5:
                assert int(after[row, -1]) == max(expected, key=expected.get)
            changed += max(expected, key=expected.get) != p.argmax()
    assert steps > 5
    counts = prompter.decoding_counts
    assert counts["steps"] >= steps
    assert counts["deferred"] >= deferred
    assert changed + deferred > 0


def test_it_changes_what_is_said_and_nothing_when_it_has_one_candidate(load):
    plain = load(decode=None).ask(IMAGES, WORDS)
    assert load(decode=None).decoding_counts == {}
    assert [answer.raw for answer in load(decode="semantic?top_m=1").ask(IMAGES, WORDS)] == [one.raw for one in plain]
    semantic = load(decode=SemanticConfig(k=20, top_m=30, top_p=None))
    assert [answer.raw for answer in semantic.ask(IMAGES, WORDS)] != [one.raw for one in plain]
    assert semantic.decoding_counts["changed"] > 0


def test_a_batch_says_what_each_says_alone(load, monkeypatch):
    """Told by scores, as which of two is larger may hang on the last bit."""
    prompter = load(decode="semantic?top_m=8", batch_size=3, max_new_tokens=1)
    watches = watched(monkeypatch, prompter)
    prompter.ask(IMAGES, WORDS)
    for image, words in zip(IMAGES, WORDS, strict=True):
        prompter.ask([image], [words])
    (_, _, together), alone = watches[0].seen[0], [watch.seen[0][2][0] for watch in watches[1:]]
    rows = [min(float((row - one).nan_to_num(0, 9, 9).abs().max()) for row in together) for one in alone]
    assert max(rows) < 1e-3


@pytest.mark.parametrize("decode", ["semantic?temperature=0.05", "semantic"])
def test_draws_are_seeded_and_among_the_candidates(load, monkeypatch, decode):
    options = {"do_sample": True, "temperature": 0.8, "max_new_tokens": 5}
    prompter = load(decode=decode, seed=3, **options)
    watches = watched(monkeypatch, prompter)
    first = [answer.raw for answer in prompter.ask(IMAGES, WORDS)]
    assert [answer.raw for answer in prompter.ask(IMAGES, WORDS)] == first
    assert [answer.raw for answer in load(decode=decode, seed=4, **options).ask(IMAGES, WORDS)] != first
    for watch in watches:
        for (_, _, scored), (after, _, _) in zip(watch.seen[:-1], watch.seen[1:], strict=True):
            drawn = scored.gather(1, after[:, -1:])
            assert torch.isfinite(drawn[:, 0][after[:, -1] != prompter.processor.tokenizer.pad_token_id]).all()
    chosen = prompter.model.generation_config
    assert (chosen.temperature, chosen.top_p, chosen.top_k) == (1.0, 1.0, 0)  # nothing narrows the scores once more


def test_the_table_is_kept_and_follows_the_weights(load, tmp_path, monkeypatch):
    load("llava")
    kept = [*(tmp_path / "tables").rglob("*.safetensors")]
    assert len(kept) == 1
    from fiducial.language import semantic_sampling

    refuse = lambda *_, **__: pytest.fail("the table was found anew")  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(semantic_sampling, "neighbour_table", refuse)
        load("llava")
    load("llava", decode="semantic?k=3")
    load("llava", decode="semantic?embedding=output")
    assert len([*(tmp_path / "tables").rglob("*.safetensors")]) == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tensors_and_arrays_give_one_table(dtype):
    weight = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 8))).to(dtype)
    weight[5] = 0
    content = np.arange(60) % 7 != 0
    mine = neighbour_table(TensorVectors(weight), content, 5, block=16)
    theirs = neighbour_table(ArrayVectors(weight.float().numpy()), content, 5)
    np.testing.assert_allclose(mine.cosines, theirs.cosines, atol=1e-6)
    assert (mine.ids == theirs.ids).mean() > 0.99
    other = weight.clone()
    assert TensorVectors(other).digest() == TensorVectors(weight).digest()
    other[59, 7] += 1
    assert TensorVectors(other).digest() != TensorVectors(weight).digest()


# -- as it is asked for -------------------------------------------------------------------------------


def test_every_door_takes_it(folders, tmp_path):
    place, tables = folders["llava"], tmp_path / "tables"
    assert read_part("prompter", f"vlm:{place}?decode=semantic").decode == SemanticConfig()
    assert read_part("prompter", f"vlm:{place}?decode=semantic?k=3").decode == SemanticConfig(k=3)
    assert read_part("prompter", f"vlm:{place}?decode=none").decode is None
    pipe = fiducial.load(
        "sjtu",
        prompter=f"vlm:{place}?max_new_tokens=3",
        segmenter="nano",
        options={
            "prompter.decode": "semantic",
            "prompter.decode.k": 3,
            "prompter.decode.cache": str(tables),
            "prompter.device": "cpu",
        },
    )
    assert pipe.prompter.config.decode == SemanticConfig(k=3, cache=tables)
    pipe(IMAGES[0], "the dog")
    assert pipe.prompter.decoding_counts["steps"] > 0


def test_options_that_do_not_go_together():
    with pytest.raises(InputError, match="needs top_m or top_p"):
        SemanticConfig(top_m=None, top_p=None)
    with pytest.raises(InputError, match="decode: a temperature changes nothing while do_sample is off"):
        VLMConfig(model="x", decode=SemanticConfig(temperature=0.5))
    assert VLMConfig(model="x", do_sample=True, decode=SemanticConfig(temperature=0.5)).decode.temperature == 0.5
