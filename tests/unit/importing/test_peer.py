"""A model as transformers computes it, with nmt's ids."""

from pathlib import Path

import pytest
import torch

from nmt.config.decoding import DecodingConfig
from nmt.data.encoding.tokenizer import EOS_ID
from nmt.importing.marian import MarianFolder
from nmt.importing.weights import import_weights
from nmt.inference.engines.native import NativeEngine
from nmt.inference.protocol import Request, Row
from nmt.model.families import build_undrawn

pytest.importorskip("transformers")
from marians import save_marian

from nmt.importing.peer import Peer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> MarianFolder:
    return MarianFolder.open(save_marian(tmp_path_factory.mktemp("marian") / "made"))


@pytest.fixture(scope="module")
def peer(folder: MarianFolder) -> Peer:
    return Peer(folder)


def test_ids_are_those_of_nmt_without_eos(folder: MarianFolder, peer: Peer) -> None:
    (ids,) = peer.encode(["The dog"])
    theirs = peer.tokenizer("The dog")["input_ids"]
    assert [folder.source.order[i] for i in (*ids, EOS_ID)] == theirs
    assert peer.decode(peer.encode(["Der Hund"], target=True)) == ["Der Hund"]
    assert peer.encode([""]) == [[]]


def test_log_probabilities_are_those_of_its_loss(folder: MarianFolder, peer: Peer) -> None:
    pairs = [([9, 8, 7], [6, 5]), ([10], [])]
    (scores,) = peer.score([pairs])
    assert list(map(len, scores)) == [3, 1]
    for (src, tgt), each in zip(pairs, scores, strict=True):
        inputs, labels = (torch.tensor([[folder.source.order[i] for i in (*ids, EOS_ID)]]) for ids in (src, tgt))
        loss = float(peer.model(input_ids=inputs, labels=labels).loss.detach())
        assert sum(each) == pytest.approx(-loss * len(each), abs=1e-4)


@pytest.mark.parametrize("beam_size", [1, 5])
def test_hypotheses_end_at_the_limit_as_those_of_nmt(beam_size: int, tmp_path: Path) -> None:
    endless = MarianFolder.open(save_marian(tmp_path / "endless", seed=0))
    model = build_undrawn(endless.model, len(endless.source.order), len(endless.target.order))
    with torch.no_grad():
        model.load_weights(import_weights(endless))
    decoding = DecodingConfig(beam_size=beam_size, length_penalty=0.0, max_extra_length=3)
    rows = [Row([9, 8, 7]), Row([10]), Row([6, 5, 9, 9, 12]), Row([20, 30])]
    engines = NativeEngine([model.eval()]), Peer(endless)
    ours, theirs = (next(iter(engine.search([rows], Request(decoding)))) for engine in engines)
    assert [of_row[0].ids for of_row in theirs] == [of_row[0].ids for of_row in ours]
    assert max(len(of_row[0].ids) - len(row.ids) for of_row, row in zip(ours, rows, strict=True)) == 3
    for one, other in zip(ours, theirs, strict=True):
        assert one[0].score == pytest.approx(other[0].score, abs=1e-4)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_each_row_has_a_limit_of_its_own_and_the_score_of_its_hypothesis(beam_size: int, peer: Peer) -> None:
    decoding = DecodingConfig(beam_size=beam_size, length_penalty=0.0, max_extra_length=1)
    rows = [Row([9, 8, 7]), Row([10]), Row([6, 5, 9, 9, 12])]
    (found,) = peer.search([rows], Request(decoding))
    for row, (best,) in zip(rows, found, strict=True):
        assert len(best.ids) + 1 <= len(row.ids) + 2
        ((scores,),) = peer.score([[(row.ids, best.ids)]])
        assert best.score == pytest.approx(sum(scores), abs=1e-4)
    assert peer.model.generation_config.bad_words_ids is None


def test_no_piece_stands_for_the_start(folder: MarianFolder, peer: Peer) -> None:
    assert 2 not in peer.own_target.values()
    assert sorted(peer.own_target.values()) == [0, 1, *range(3, len(folder.target.order))]
