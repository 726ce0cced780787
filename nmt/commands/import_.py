"""The command for imports: a bundle of a model that another package trained."""

from pathlib import Path
from typing import Annotated

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.options import command
from nmt.errors import UsageError
from nmt.locks import holding_output

app = new_app("Import.")


@command(app, "nmt import Helsinki-NLP/opus-mt-en-de -o opus-en-de", "import")
def import_(
    model: Annotated[
        str, typer.Argument(metavar="FOLDER", help="A folder in Hugging Face's layout, or OWNER/NAME on the Hub.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="BUNDLE", help="The new bundle.")],
    revision: Annotated[
        str | None, typer.Option(help="Commit, branch or tag on the Hub; by default the main branch as it is now.")
    ] = None,
    source: Annotated[str | None, typer.Option(metavar="SRC", help="Source language; by default the model's.")] = None,
    target: Annotated[str | None, typer.Option(metavar="TGT", help="Target language; by default the model's.")] = None,
    sample: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare on this source text; by default on pieces of the vocabulary."),
    ] = None,
) -> None:
    """Make a bundle of a public Marian model, such as OPUS-MT's, that translates as in transformers.

    Needs the extra huggingface. Ids, log-probabilities and translations of a sample are compared with those of
    transformers first; where they differ, nothing is written.
    """
    from nmt.importing import hub, importer  # start-up time

    folder, commit = Path(model), None
    if hub.is_name(model):
        fetched = hub.fetch(model, revision)
        folder, commit, origin = fetched.folder, fetched.revision, model
    elif revision:
        raise UsageError(f"--revision is for a model of the Hub, and {model} is none", hint="leave it out")
    else:
        origin = folder.absolute().name
    with holding_output(output):
        config = importer.import_model(
            folder, output, origin=origin, revision=commit, languages=(source, target), sample=sample
        )
    for line in importer.report(config):
        console.log(f"import: {line}")
    console.log(f"import: written to {output}")
