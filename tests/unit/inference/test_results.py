"""What a translation says of its line: the best hypothesis comes first."""

from nmt.inference.results import Candidate, Translation


def test_a_translation_has_the_text_and_the_score_of_its_first_candidate() -> None:
    found = Translation("a dog", [Candidate("ein Hund", -0.5, ["ein", "Hund"]), Candidate("Hund", -1.0, ["Hund"])])
    assert (found.text, found.score) == ("ein Hund", -0.5)
