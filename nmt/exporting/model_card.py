"""The model card of an export for transformers: its README on the Hub."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nmt.exporting.parity import OWN, Agreement
from nmt.inference.bundle import Bundle, score_table
from nmt.version import __version__

if TYPE_CHECKING:
    from nmt.evaluation.metrics import Scores

EXAMPLE = """\
```python
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("PATH_OR_NAME")
model = AutoModelForSeq2SeqLM.from_pretrained("PATH_OR_NAME")
batch = tokenizer(["TEXT"], padding=True, return_tensors="pt")
print(tokenizer.batch_decode(model.generate(**batch), skip_special_tokens=True))
```
"""


def model_card(
    bundle: Bundle,
    parity: Mapping[str, Agreement],
    ids: Mapping[str, object],
    exponent: float,
    scores: "dict[str, Scores]",
) -> str:
    """Return the card with the scores of nmt, and the figures of the parity gate."""
    config = bundle.config
    languages = config.languages
    lines = [
        "---",
        "language:",
        *(f"- {language}" for language in languages.codes),
        "library_name: transformers",
        "pipeline_tag: translation",
        "tags:",
        "- translation",
        "- nmt",
        "---",
        "",
        f"# {config.name}: {languages.title}",
        "",
        f"A translation model trained with nmt {config.nmt} and exported by nmt {__version__}. No licence is given "
        "here: whoever publishes the model adds a `license` to the head of this file.",
        "",
        EXAMPLE,
        "## Differences from nmt",
        "",
        f"The tokenizer gave all {ids['lines']} lines of a sample the ids of nmt's, and {ids['odd_differing']} of "
        f"{ids['odd_lines']} odd lines others: decomposed, full-width, or with rare characters. Of {ids['decoded']} "
        f"translations {ids['decoded_differing']} have another text: bytes that spell no character.",
        "",
        "| Search | Lines | Other translations | Ties | BLEU against nmt |",
        "|---|---|---|---|---|",
        *(
            f"| {search.replace('_', ' ')} | {found['lines']} | {found['differing']} | {found['ties']} | "
            f"{found['bleu']:.1f} |"
            for search, found in parity.items()
        ),
        "",
        *differences(bundle, exponent),
    ]
    if scores:
        lines += ["", "## Scores", "", "Of nmt's own translations:", "", *score_table(scores)]
    return "\n".join(lines) + "\n"


def differences(bundle: Bundle, exponent: float) -> list[str]:
    """Return a list of what `generate` and the tokenizer do otherwise than nmt."""
    decoding, tokenizer = bundle.config.decoding, bundle.tokenizer
    found = [
        "The length limit is one for all lines; nmt's follows from the length of the source.",
        "A line is not cut into sentences, nor a blank one left blank.",
        "The tokenizer encodes sources and decodes translations. "
        + (
            "As labels, targets (`text_target`) are encoded in the normal form of the source."
            if tokenizer.joint
            else "It cannot encode targets (`text_target`): their tokens have ids of their own."
        ),
    ]
    if decoding.length_penalty:
        found.insert(
            0,
            f"The last line of the table, `{OWN}`, is the search by `generation_config.json`. nmt divides a "
            f"log-probability by ((5 + length) / 6)^{decoding.length_penalty:g}, and transformers by "
            f"length^{exponent:g}, which is the nearest.",
        )
    if bundle.config.protect or tokenizer.placeholders:
        found.append("Text that nmt protects by placeholders is translated like other text.")
    if tokenizer.tags:
        found.append(f"A line begins with a tag, or two: {', '.join(f'`{tag}`' for tag in tokenizer.tags)}.")
    return [f"- {line}" for line in found]
