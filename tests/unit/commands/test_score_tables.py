import pytest

from nmt import console
from nmt.commands.score_tables import figures, latex, show, signatures
from nmt.evaluation.significance import Difference, Interval, TestedScores

BASE: TestedScores = {
    "bleu": {
        "score": 31.204,
        "signature": "plain",
        "interval": Interval(mean=31.3, half_width=1.0, low=30.196, high=32.2, signature="bs"),
    },
    "ter": {"score": 50.0, "signature": "edits"},
}
OTHER: TestedScores = {
    "bleu": {
        **BASE["bleu"],
        "difference": Difference(
            baseline="a_b",
            value=-0.504,
            low=-1.25,
            high=0.3,
            bootstrap_p=0.12388,
            bootstrap_signature="bs",
            randomization_p=0.0001,
            randomization_signature="ar",
        ),
    },
    "ter": BASE["ter"],
}


def test_a_table_has_a_row_for_each_system_and_metric() -> None:
    assert figures({"a_b": BASE, "c": OTHER}) == (
        ["system", "metric", "score", "95% interval", "difference", "95% interval", "p (ar)", "p (bs)"],
        [
            ["a_b", "BLEU", "31.20", "[30.20, 32.20]", "", "", "", ""],
            ["a_b", "TER", "50.00", "", "", "", "", ""],
            ["c", "BLEU", "31.20", "[30.20, 32.20]", "-0.50", "[-1.25, +0.30]", "0.0001", "0.1239"],
            ["c", "TER", "50.00", "", "", "", "", ""],
        ],
    )


def test_columns_without_figures_are_left_out() -> None:
    assert figures({"a": BASE})[0] == ["system", "metric", "score", "95% interval"]
    assert figures({"a": {"ter": BASE["ter"]}}) == (["system", "metric", "score"], [["a", "TER", "50.00"]])


def test_each_kind_of_figure_has_its_signature() -> None:
    assert signatures({"a_b": BASE}) == [["BLEU", "plain"], ["BLEU", "bs"], ["TER", "edits"]]
    assert signatures({"a_b": BASE, "c": OTHER}) == [
        ["BLEU", "plain"],
        ["BLEU", "bs"],
        ["BLEU", "ar"],
        ["TER", "edits"],
    ]


def test_figures_and_signatures_are_printed_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "end_with_pipe", lambda: None)
    monkeypatch.setenv("COLUMNS", "20")
    show({"n" * 300: BASE})
    first, second = capsys.readouterr().out.split("\n\n")
    assert [line.split() for line in first.split("\n")[1:]] == [
        ["n" * 300, "BLEU", "31.20", "[30.20,", "32.20]"],
        ["n" * 300, "TER", "50.00"],
    ]
    assert second == "metric  signature\nBLEU    plain\nBLEU    bs\nTER     edits\n"


def test_latex_escapes_names_and_sets_figures_as_mathematics() -> None:
    found = latex({"a_b": BASE, "50%&\\~^": OTHER}).split("\n")
    assert found[:6] == [
        "% BLEU: plain",
        "% BLEU: bs",
        "% BLEU: ar",
        "% TER: edits",
        r"\begin{tabular}{llrrrrrr}",
        r"\toprule",
    ]
    assert found[6] == (r"system & metric & score & 95\% interval & difference & 95\% interval & p (ar) & p (bs) \\")
    assert found[7:9] == [r"\midrule", r"a\_b & BLEU & $31.20$ & $[30.20, 32.20]$ &  &  &  &  \\"]
    assert found[10] == (
        r"50\%\&\textbackslash{}\~{}\^{} & BLEU & $31.20$ & $[30.20, 32.20]$ & "
        r"$-0.50$ & $[-1.25, +0.30]$ & $0.0001$ & $0.1239$ \\"
    )
    assert found[-2:] == [r"\bottomrule", r"\end{tabular}"]
