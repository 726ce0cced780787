"""What a translation says of its line: the best hypothesis comes first."""

from nmt.evaluation.checks import Checks
from nmt.inference.results import Candidate, Translation


def test_a_translation_has_the_text_score_and_checks_of_its_first_candidate() -> None:
    failed: Checks = {"numbers": {"missing": ["2"], "invented": []}}
    candidates = [
        Candidate("ein Hund", -0.5, ["ein", "Hund"], checks=failed),
        Candidate("Hund", -1.0, ["Hund"], checks={}),
    ]
    found = Translation("2 dogs", candidates)
    assert (found.text, found.score, found.checks) == ("ein Hund", -0.5, failed)
    assert [candidate.failures for candidate in candidates] == ["numbers missing: 2", ""]
    assert (Candidate("", 0.0, []).checks, Candidate("", 0.0, []).failures) == (None, "")
