"""Documents, and texts with markup, translated by the models of a route."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from nmt.config.inference import Options
from nmt.documents.filling import Setting, translate_parts
from nmt.documents.formats import DocumentFormat
from nmt.documents.html import html_parts
from nmt.documents.lines import LineTranslator
from nmt.documents.translating import translate_document
from nmt.inference.report import Report
from nmt.inference.results import Translation
from nmt.server.batching import Ticket
from nmt.server.models import Route


class RouteLines:
    """Translates the lines of a document by `route`, together with those of other requests."""

    def __init__(self, route: Route, ticket: Ticket) -> None:
        self.route, self.ticket, self.report = route, ticket, Report()
        of_models = [LineTranslator(model.translator) for model in route.models]
        self.can_align = all(model.can_align for model in of_models)
        self.placeholders = min(model.placeholders for model in of_models)

    def __call__(self, lines: Sequence[str], *, alignment: bool) -> list[Translation]:
        options = Options(alignment=alignment and self.can_align)
        translations, reports = self.route.translate(lines, options, self.ticket)
        for report in reports:
            self.report.add(report)
        return translations

    def setting(self, name: str) -> Setting:
        """Return the setting of the document `name`."""
        return Setting((self.route.source, self.route.target), self.placeholders, name=name)


def translate_file(
    content: bytes, format: DocumentFormat, name: str, route: Route, ticket: Ticket
) -> tuple[bytes, list[str]]:
    """Translate the document `name`; return the warnings, too. Raises DataError, and what `Route.translate` raises."""
    lines = RouteLines(route, ticket)
    setting = lines.setting(name)
    translated = translate_document(content, format, lines, setting)
    return translated, [*setting.report.warnings(), *lines.report.warnings(numbered=False)]


def translate_fragments(fragments: Sequence[str], route: Route, ticket: Ticket) -> list[str]:
    """Translate fragments of HTML, all of them together. Raises what `Route.translate` raises."""
    lines = RouteLines(route, ticket)
    setting = lines.setting("html")
    of_fragments = [html_parts(fragment, setting) for fragment in fragments]
    parts = translate_parts([part for parts in of_fragments for part in parts], lines, setting)
    ends = accumulate(map(len, of_fragments), initial=0)
    return ["".join(parts[start:end]) for start, end in pairwise(ends)]
