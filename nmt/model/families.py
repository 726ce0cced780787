"""The one place that constructs a model."""

import torch

from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import PAD_ID
from nmt.model.encoder_decoder import Transformer
from nmt.model.protocol import Model


def build(config: ModelConfig, source_size: int, target_size: int) -> Model:
    """Build the model that `config` describes, for vocabularies of these sizes; draw its weights at random."""
    return Transformer(config, source_size, target_size, pad_id=PAD_ID)


def build_without_weights(config: ModelConfig, source_size: int, target_size: int) -> Model:
    """Build the same model with the names and shapes of its weights alone, in no memory."""
    with torch.device("meta"):
        return build(config, source_size, target_size)
