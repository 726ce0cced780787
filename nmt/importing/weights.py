"""The weights of a Marian model under nmt's names, in nmt's order of pieces and of the model's width.

A sinusoid there has all sines in its first half and all cosines in its second one, here they are in turn. As no layer
knows the order of the width, every weight that reads or writes it is reordered, and nothing else differs.
"""

import io
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor
from torch.testing import assert_close

from nmt import console
from nmt.data.encoding.tokenizer import BOS_ID
from nmt.errors import ArtifactError
from nmt.files import is_missing
from nmt.importing.marian import CONFIG, MarianFolder
from nmt.model.embedding import SinusoidalPositions
from nmt.model.families import build_without_weights
from nmt.model.tensors import load_tensors

SAFE, PICKLED = "model.safetensors", "pytorch_model.bin"
WEIGHTS = (SAFE, PICKLED)  # the first one counts
NEVER = -1000.0
"""The bias of BOS, which is no piece there: nothing of its probability is left."""
ROUNDED = 1e-3  # what rounding to 16 bits may change in a sinusoid
Weights = dict[str, Tensor]


class Taken:
    """The tensors of a file, each taken with the shape that it has to have."""

    def __init__(self, path: Path) -> None:
        self.path, self.tensors = path, read(path)
        self.left = set(self.tensors)

    def take(self, *names: str, shape: tuple[int, ...]) -> Tensor:
        """Return the first of `names` that is there, in float32. Raises ArtifactError where none is, or its shape."""
        found = next((name for name in names if name in self.tensors), None)
        self.left -= {*names}
        if found is None:
            raise ArtifactError(f"{self.path}: lacks {names[0]}")
        tensor = self.tensors[found]
        if tuple(tensor.shape) != shape:
            raise ArtifactError(f"{self.path}: {found} is {tuple(tensor.shape)}, and {CONFIG} says {shape}")
        return tensor.float()


def weights_file(folder: Path) -> Path:
    """Return the file of the weights in `folder`. Raises ArtifactError where there is none."""
    for name in WEIGHTS:
        if not is_missing(folder / name):
            return folder / name
    raise ArtifactError(f"{folder}: neither {SAFE} nor {PICKLED} in it", hint="weights in several files are not read")


def read(path: Path) -> Weights:
    """Read a file of tensors; of a pickle nothing else is loaded. Raises ArtifactError where it holds anything else."""
    if path.name == SAFE:
        return load_tensors(path)
    try:
        with redirect_stderr(io.StringIO()):  # remarks on how a pickle was written
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise ArtifactError(
            f"{path}: not read, as it is damaged or holds more than tensors: {first_line(error)}"
        ) from None
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise ArtifactError(f"{path}: holds no tensors by name")
    return tensors


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def import_weights(folder: MarianFolder) -> Weights:
    """Return the weights of the model in `folder` by nmt's names. Raises ArtifactError where they do not fit it."""
    taken = Taken(weights_file(folder.path))
    config, width = folder.config, folder.config.d_model
    for side in ("encoder", "decoder"):
        check_positions(taken, f"model.{side}.embed_positions.weight", config.max_position_embeddings, width)
    found = {name: reordered(tensor, name) for name, tensor in layers(taken, folder)}
    found |= embeddings(taken, folder)
    if left := sorted(taken.left):
        console.warn(f"{taken.path}: {len(left)} tensors are not of the model, first {left[0]}; they are left out")
    wanted = build_without_weights(folder.model, len(folder.source.order), len(folder.target.order)).weights()
    return {name: found[name].contiguous() for name in wanted}


def check_positions(taken: Taken, name: str, positions: int, width: int) -> None:
    """Raise ArtifactError where the file has positions, and they are no sinusoids."""
    if name not in taken.tensors:
        return
    theirs = taken.take(name, shape=(positions, width))[:, in_turn(width)]
    try:
        assert_close(theirs, SinusoidalPositions.encodings(positions, width), rtol=0, atol=ROUNDED)
    except AssertionError:
        raise ArtifactError(f"{taken.path}: {name} holds no sinusoids") from None


def in_turn(width: int) -> Tensor:
    """Return the order in which halves of `width` are taken in turn."""
    return torch.arange(width).view(2, -1).T.flatten()


def layers(taken: Taken, folder: MarianFolder) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights of all layers under nmt's names, in the order of their width there."""
    config = folder.config
    width, inner = config.d_model, config.encoder_ffn_dim
    stacks = {"encoder": (config.encoder_layers, ["self"]), "decoder": (config.decoder_layers, ["self", "cross"])}
    for side, (count, kinds) in stacks.items():
        for index in range(count):
            here, there = f"{side}.{index}", f"model.{side}.layers.{index}"
            for kind in kinds:
                name = f"{there}.{'self_attn' if kind == 'self' else 'encoder_attn'}"
                attention = f"{here}.{kind}_attention"
                for part, shape in (("weight", (width, width)), ("bias", (width,))):
                    query, key, value, output = (
                        taken.take(f"{name}.{which}_proj.{part}", shape=shape) for which in ("q", "k", "v", "out")
                    )
                    yield f"{attention}.query.{part}", query
                    yield f"{attention}.key_value.{part}", torch.cat([key, value])
                    yield f"{attention}.output.{part}", output
                    yield f"{attention}_norm.{part}", taken.take(f"{name}_layer_norm.{part}", shape=(width,))
            for part, shapes in (("weight", ((inner, width), (width, inner))), ("bias", ((inner,), (width,)))):
                yield f"{here}.feed_forward.inner.{part}", taken.take(f"{there}.fc1.{part}", shape=shapes[0])
                yield f"{here}.feed_forward.outer.{part}", taken.take(f"{there}.fc2.{part}", shape=shapes[1])
                norm = taken.take(f"{there}.final_layer_norm.{part}", shape=(width,))
                yield f"{here}.feed_forward_norm.{part}", norm


READERS = ("query.weight", "key_value.weight", "inner.weight")  # maps from the model's width
WRITERS = ("output.weight", "output.bias", "outer.weight", "outer.bias", "norm.weight", "norm.bias")  # to it


def reordered(tensor: Tensor, name: str) -> Tensor:
    """Return the weight `name` with the model's width in nmt's order."""
    if name.endswith(READERS):
        return tensor[:, in_turn(tensor.size(1))]
    return tensor[in_turn(len(tensor))] if name.endswith(WRITERS) else tensor


def embeddings(taken: Taken, folder: MarianFolder) -> Weights:
    """Return embeddings, output layer and its bias, in nmt's order of the pieces and of the width."""
    config = folder.config
    shared, output = "model.shared.weight", "lm_head.weight"
    own = {side: f"model.{side}.embed_tokens.weight" for side in ("encoder", "decoder")}
    shapes = {"encoder": (config.vocab_size, config.d_model), "decoder": (config.target_size, config.d_model)}
    is_tied = config.tie_word_embeddings
    if is_tied and config.share_encoder_decoder_embeddings:
        source = target = taken.take(shared, *own.values(), output, shape=shapes["decoder"])
    else:
        source = taken.take(own["encoder"], shared, shape=shapes["encoder"])
        target = taken.take(own["decoder"], *[output] * is_tied, shared, shape=shapes["decoder"])
    generator = target if is_tied else taken.take(output, shape=shapes["decoder"])
    bias = torch.zeros(config.target_size)
    if "final_logits_bias" in taken.tensors:
        bias = taken.take("final_logits_bias", shape=(1, config.target_size))[0]
    scale = 1.0 if config.scale_embedding else config.d_model**-0.5  # nmt multiplies by the root of the width
    width, by_target = in_turn(config.d_model), folder.target.order
    bias = bias[by_target]
    bias[BOS_ID] = NEVER
    return {
        "source_embedding.weight": source[folder.source.order][:, width] * scale,
        "target_embedding.weight": target[by_target][:, width] * scale,
        "generator.weight": generator[by_target][:, width],
        "generator.bias": bias,
    }
