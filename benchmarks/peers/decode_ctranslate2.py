"""Time CTranslate2 on what `nmt export` made of the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import ctranslate2  # type: ignore[import-not-found,import-untyped,unused-ignore]
from translating import Rows, Task, Translate, batched, run


def load(task: Task) -> Translate:
    """Load the export of the precision wanted."""
    translator = ctranslate2.Translator(
        str(task.bundle / "exports" / task.engine),
        device="cpu",
        compute_type=task.precision,
        inter_threads=task.workers,
        intra_threads=task.threads,
    )

    def search(batches: Iterable[Rows], beam_size: int) -> Iterator[Rows]:
        # All are handed over at once, as translate_batch does with the batches that it cuts itself: the workers
        # take them in turn. Cut here, each has a limit of its own.
        waiting = [
            translator.translate_batch(
                rows,
                beam_size=beam_size,
                length_penalty=task.length_penalty,
                max_decoding_length=task.limit(rows),
                asynchronous=True,
            )
            for rows in batches
        ]
        for batch in waiting:
            yield [row.result().hypotheses[0] for row in batch]

    return batched(task, search)


if __name__ == "__main__":
    run("ctranslate2", load)
