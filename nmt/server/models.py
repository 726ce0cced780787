"""The models that are served: what is loaded, and by which of them a language becomes another."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nmt.config.decoding import DecodingConfig
from nmt.config.inference import InferenceConfig, Options
from nmt.data.directions import Direction
from nmt.data.languages import best_match
from nmt.data.placeholders import split_tags
from nmt.data.reading.terms import Terms
from nmt.errors import UsageError
from nmt.evaluation.checks import Checker
from nmt.inference.bundle import read_config
from nmt.inference.report import Report
from nmt.inference.results import Translation
from nmt.inference.translator import Translator
from nmt.server.batching import Batcher, SharedEngine, Ticket


@dataclass(frozen=True)
class Served:
    """A loaded model."""

    name: str
    translator: Translator
    batcher: Batcher
    source: str
    target: str  # codes of its languages

    @classmethod
    def load(
        cls,
        name: str | None,
        path: Path,
        search: DecodingConfig,
        inference: InferenceConfig,
        wait: float,
        terms: Terms | None = None,
    ) -> "Served":
        """Load the bundle at `path`, by default under the name of its recipe, for its only or its first direction.

        Raises ArtifactError, UsageError.
        """
        given = {**inference.model_dump(exclude_unset=True), "to": read_config(path).languages.target}
        translator = Translator.load(path, decoding=search.model_dump(exclude_unset=True), terms=terms, **given)
        assert translator.bundle is not None
        languages = translator.bundle.languages
        batcher = Batcher(translator.engine, wait)
        return cls(name or translator.bundle.name, translator, batcher, languages.source, languages.target)

    @property
    def directions(self) -> "list[Served]":
        """This model as one for each direction, `NAME/en-de`, all with the same weights; itself where it has one."""
        assert self.translator.bundle is not None
        languages = self.translator.bundle.languages
        if not languages.directions:
            return [self]
        return [
            Served(
                f"{self.name}/{one.direction}",
                self.translator.facing(Direction.of(*one.pair, languages)),
                self.batcher,
                *one.pair,
            )
            for one in languages.each
        ]

    def translate(
        self,
        lines: Sequence[str],
        options: Options,
        ticket: Ticket,
        *,
        prefixes: Sequence[str] | None = None,
        terms: Terms | None = None,
    ) -> tuple[list[Translation], Report]:
        """Translate `lines` together with those of other requests; `terms` take the place of the model's own.

        Returns the report on them, too. Raises GoneError where the time of `ticket` is over, DataError, UsageError.
        """
        translator = self.translator.with_engine(SharedEngine(self.batcher, ticket))
        translator = translator if terms is None else translator.with_terms(terms)
        return translator.translate(lines, options, prefixes=prefixes), translator.report


@dataclass(frozen=True)
class Route:
    """The models by which a language becomes another: one, or two by way of a third language."""

    models: tuple[Served, ...]

    @property
    def source(self) -> str:
        return self.models[0].source

    @property
    def target(self) -> str:
        return self.models[-1].target

    @property
    def pivot(self) -> str | None:
        """The third language."""
        return self.models[0].target if len(self.models) > 1 else None

    def translate(
        self,
        lines: Sequence[str],
        options: Options,
        ticket: Ticket,
        *,
        prefixes: Sequence[str] | None = None,
        terms: Terms | None = None,
    ) -> tuple[list[Translation], list[Report]]:
        """Translate `lines`; return the report of each model on them, too.

        By way of a third language, scores are the sums of both, alignments are joined, and the checks compare the first
        language with the last. See `Served.translate`. Raises UsageError where there are `terms` by way of one.
        """
        if terms is not None and self.pivot:
            problem = f"a glossary goes with one model: {self.source} becomes {self.target} by way of {self.pivot}"
            raise UsageError(problem, hint="leave out glossary and avoid")
        *before, last = self.models
        if before and (options.confidence or options.repair):
            what = "confidence" if options.confidence else "repair"
            raise UsageError(f"a {what} is of one model, and this is by way of a third language")
        if before and options.check:
            plain = dataclasses.replace(options, check=False)
            of_route = self.translate(lines, plain, ticket, prefixes=prefixes)
            return self._checked(*of_route), of_route[1]
        ticket.spend(sum(map(len, lines)))
        firsts: list[list[Translation]] = []
        reports: list[Report] = []
        texts = lines
        for model in before:
            found, report = model.translate(texts, dataclasses.replace(options, n_best=1), ticket)
            texts = [translation.text for translation in found]
            firsts.append(found)
            reports.append(report)
        translations, report = last.translate(texts, options, ticket, prefixes=prefixes, terms=terms)
        for found in reversed(firsts):
            translations = [joined(*pair) for pair in zip(found, translations, strict=True)]
        return translations, [*reports, report]

    def _checked(self, translations: Sequence[Translation], reports: Sequence[Report]) -> list[Translation]:
        """Add to translations by way of a third language, and to their last report, the checks that they fail."""
        checker, found = Checker((self.source, self.target)), []
        for number, translation in enumerate(translations, 1):
            text = split_tags(translation.source, self.models[0].translator.tokenizer.tags)[1]
            candidates = [
                dataclasses.replace(one, checks=checker.check(text, one.text)) for one in translation.candidates
            ]
            found.append(Translation(translation.source, candidates))
            reports[-1].add_checks(number, found[-1].checks or {})
        return found


def joined(first: Translation, second: Translation) -> Translation:
    """Return the translation of the source of `first` by way of its best hypothesis, the source of `second`."""
    best = first.candidates[0]
    links: dict[int, list[int]] = {}
    for src, middle in best.alignment or ():
        links.setdefault(middle, []).append(src)
    candidates = [
        dataclasses.replace(
            one,
            score=best.score + one.score,
            alignment=None
            if one.alignment is None
            else sorted({(src, tgt) for middle, tgt in one.alignment for src in links.get(middle, ())}),
        )
        for one in second.candidates
    ]
    return Translation(first.source, candidates)


@dataclass(frozen=True)
class Models:
    """All models that are served, the first of a pair of languages being the one that answers for it."""

    served: Sequence[Served]
    routes: Mapping[str, Mapping[str, Route]] = field(default_factory=dict)
    """Routes by source and target."""

    @classmethod
    def of(cls, served: Sequence[Served]) -> "Models":
        """Find the routes. Raises UsageError where two models have one name."""
        names = [model.name for model in served]
        if twice := [name for name in names if names.count(name) > 1]:
            hint = "name them: nmt serve ONE=PATH OTHER=PATH"
            raise UsageError(f"two models are called {twice[0]}", hint=hint)
        routes: dict[str, dict[str, Route]] = {}
        for model in served:
            routes.setdefault(model.source, {}).setdefault(model.target, Route((model,)))
        direct = {source: dict(targets) for source, targets in routes.items()}
        for source, targets in direct.items():
            for middle, first in targets.items():
                for target, second in direct.get(middle, {}).items():
                    if target != source:
                        routes[source].setdefault(target, Route((*first.models, *second.models)))
        return cls(served, routes)

    @property
    def languages(self) -> list[str]:
        """The codes of all languages, sources first."""
        return list(dict.fromkeys([*self.routes, *(model.target for model in self.served)]))

    def route(self, source: str, target: str) -> Route | None:
        """Return the models for the codes `source` and `target` in any spelling; None where there are none."""
        source = best_match(source, self.routes) or ""
        targets = self.routes.get(source, {})
        return targets.get(best_match(target, targets) or "")

    def named(self, name: str) -> Route | None:
        """Return the model `name` as a route of its own."""
        return next((Route((model,)) for model in self.served if model.name == name), None)

    def described(self) -> list[str]:
        """Describe each route, and each model that is in none, in a line."""
        routes = [route for targets in self.routes.values() for route in targets.values()]
        lines = [f"{r.source} to {r.target}: {', '.join(model.name for model in r.models)}" for r in routes]
        used = {model.name for route in routes for model in route.models}
        lines += [f"{m.source} to {m.target}: {m.name}, by its name" for m in self.served if m.name not in used]
        return lines

    def close(self) -> None:
        """Let the engines end once nothing waits for them."""
        for model in self.served:
            model.batcher.close()
