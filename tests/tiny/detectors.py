"""Tiny open-vocabulary detectors with random weights, saved as folders like those of the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORDS = ("storage", "water", "tank", "##s", "air", "##plane", "ship", "cat", "dog", "remote", "control", "a", "-")
"""What the tiny Grounding DINO can read, besides ``n0`` to ``n399``."""

IMAGES = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def bert_vocabulary() -> list[str]:
    """List a WordPiece vocabulary whose marks have the ids that the model's code takes for granted."""
    pieces = [f"[unused{number}]" for number in range(1600)]
    marks = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
    for place, mark in marks.items():
        pieces[place] = mark
    pieces[1100 : 1100 + len(WORDS)] = WORDS
    pieces[1200:1600] = [f"n{number}" for number in range(400)]
    return pieces


def grounding_dino_model(seed: int = 0, *, queries: int = 12, text_length: int = 64) -> Any:
    """Build a Grounding DINO with a Swin of two stages."""
    import torch
    from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

    torch.manual_seed(seed)
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(
            embed_dim=16,
            depths=[1, 1],
            num_heads=[2, 2],
            window_size=4,
            out_features=["stage1", "stage2"],
            drop_path_rate=0.0,
        ),
        text_config=BertConfig(
            vocab_size=1600,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=text_length,
        ),
        d_model=32,
        num_queries=queries,
        num_feature_levels=3,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        max_text_len=text_length,
    )
    model = GroundingDinoForObjectDetection(config)
    with torch.no_grad():  # a fresh box head moves no box, and fresh logits are all alike
        for name, tensor in model.named_parameters():
            if "bbox_embed" in name or "text_projection.weight" in name:
                tensor.normal_(0, 0.3)
    return model.eval()


def tiny_grounding_dino(folder: Path, seed: int = 0, **sizes: int) -> Path:
    """Save a tiny Grounding DINO that shows pictures at 64 to 96 pixels."""
    from transformers import BertTokenizer

    folder = Path(folder)
    grounding_dino_model(seed, **sizes).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(bert_vocabulary()) + "\n")
    BertTokenizer.from_pretrained(folder).save_pretrained(folder)
    _write(
        folder / "preprocessor_config.json",
        image_processor_type="GroundingDinoImageProcessor",
        size={"shortest_edge": 64, "longest_edge": 96},
        do_pad=True,
        **IMAGES,
    )
    return folder


def owlv2_model(seed: int = 0) -> Any:
    """Build an OWLv2 that sees 6 x 6 patches."""
    import torch
    from transformers import Owlv2Config, Owlv2ForObjectDetection

    torch.manual_seed(seed)
    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Owlv2Config(
        text_config={
            **small,
            "vocab_size": 514,
            "max_position_embeddings": 48,
            "pad_token_id": 0,
            "bos_token_id": 512,
            "eos_token_id": 513,
        },
        vision_config={**small, "image_size": 48, "patch_size": 8},
        projection_dim=32,
    )
    model = Owlv2ForObjectDetection(config)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.ndim > 1:
                tensor.normal_(0, 0.25 if "box_head" in name or "class_head" in name else 0.1)
    return model.eval()


def tiny_owlv2(folder: Path, seed: int = 0) -> Path:
    """Save a tiny OWLv2 whose tokenizer spells names letter by letter."""
    from tokenizers.pre_tokenizers import ByteLevel

    folder = Path(folder)
    owlv2_model(seed).save_pretrained(folder)
    signs = sorted(ByteLevel.alphabet())
    pieces = [*signs, *(f"{sign}</w>" for sign in signs), "<|startoftext|>", "<|endoftext|>"]
    _write(folder / "vocab.json", **{piece: place for place, piece in enumerate(pieces)})
    (folder / "merges.txt").write_text("#version: 0.2\n")
    _write(
        folder / "tokenizer_config.json",
        tokenizer_class="CLIPTokenizer",
        bos_token="<|startoftext|>",
        eos_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        pad_token="!",
        model_max_length=48,
    )
    _write(
        folder / "preprocessor_config.json",
        image_processor_type="Owlv2ImageProcessor",
        size={"height": 48, "width": 48},
        do_pad=True,
        **IMAGES,
    )
    return folder


def _write(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(values))
