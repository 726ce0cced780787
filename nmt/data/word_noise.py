"""Noise in the words of a line, for sources that a model wrote (Edunov et al. 2018, section 3)."""

from random import Random

from nmt.config.synthetic import WordNoiseConfig


def with_noise(line: str, config: WordNoiseConfig) -> str:
    """Return `line` with words dropped, replaced by a symbol, and moved, as `config` says.

    Words stand between white space. The noise depends on the seed and on the line alone. One word stays.
    """
    random = Random(f"{config.seed} {line}")
    words = line.split()
    kept = [word for word in words if random.random() >= config.drop] or words[:1]
    words = [config.symbol if random.random() < config.blank else word for word in kept]
    # A word moves past those whose keys are smaller, and keys differ from positions by less than shuffle + 1.
    keys = [index + random.random() * (config.shuffle + 1) for index in range(len(words))]
    return " ".join(words[index] for index in sorted(range(len(words)), key=keys.__getitem__))
