"""A model as transformers computes it, with nmt's ids."""

import pytest
import torch

from nmt.config.decoding import DecodingConfig
from nmt.data.encoding.tokenizer import EOS_ID
from nmt.importing.marian import MarianFolder
from nmt.inference.protocol import Request, Row

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
