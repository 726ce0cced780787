"""The sentences of a line, in languages of many scripts: where one ends, and where a mark ends none."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nmt.data.sentences import SentenceSplitter

LINES = [
    ("en", "The cat sleeps.| Does it dream?| Yes!"),
    ("en", "Dr. Miller met J. R. Brown and Mrs. Young.| They talked."),
    ("en", "It costs 3.50 now.| See No. 5 and fig. 3.| The U.S. Army, e.g. this unit, paid."),
    ("en", "We met at 5:05 a.m. on Monday.| She left at 6 p.m.| He stayed."),
    ("en", "“Go!” she said.| “Now.”| He went (slowly, I think!) home.| (It rained.)| It stopped."),
    ("en", "Wait... what?| I do not know...| Perhaps… yes.| No?!| OK."),
    ("en", "Read https://example.org/a.b?c=d.| Write to me@example.org.| Thanks!"),
    ("en", "1. Open the box.| 2. Close it."),
    ("en", "i am here.| where are you ?| i see .| good"),
    ("en-GB", "He is a Ph.D. student of Prof. Hall.| He works for Apple Inc.| She does not."),
    ("de", "Er kam am 3. Mai, z. B. mit Dr. Adler bzw. Frau Holz.| Dann ging er."),
    ("de", "„Gut.“| Sie lachte.| „Schon gut!“, rief er und sah auf Nr. 7, d.h. das Haus usw.| Ende."),
    ("de", "»Ja!«| »Nein!« sagte er.| König Ludwig XIV. Karl ging."),
    ("fr", "M. Petit est là !| « Oui ? » dit-il.| Il a 3,5 ans… et Mme. Roche aussi."),
    ("es", "¿Cómo estás?| ¡Bien!| El Sr. Ruiz vive en EE. UU. desde 1990.| Adiós."),
    ("ru", "Он живёт в г. Туле, т. е. далеко.| А. С. Иванов пришёл.| «Да!» — сказал он.| Всё."),
    ("zh", "他来了。|你好吗？|“好！”他说。|价格是3.5元。|真的！！！|是；好……还行。"),
    ("zh", "他走了!|她没走。|３．５元。"),
    ("ja", "「行く。」と彼は言った。|雨です。|え？！|本当…そうです。"),
    ("ko", "안녕하세요.| 잘 지내요?| 네.| 3.5배입니다."),
    ("hi", "यह घर है।| वह कौन है?| डॉ. राव आए।|अच्छा॥"),
    ("bn", "এটা বাড়ি।| সে কে?| হ্যাঁ।"),
    ("ar", "كيف حالك؟| أنا بخير.| جاء د. سمير، ثم ذهب.| شكرا!"),
    ("ur", "یہ گھر ہے۔| وہ کون ہے؟| اچھا۔"),
    ("fa", "سلام.| حال شما چطور است؟| خوبم."),
    ("th", "เขามา! |ฉันไป พ.ศ. 2560 และกลับ"),
    ("el", "Τι κάνεις;| Καλά· ναι, ο κ. Νίκος ήρθε.| Ωραία!"),
    ("hy", "Բարև։| Նա եկավ։| Լավ է:| Այո։"),
    ("am", "ሰላም።| ደህና ነህ፧| እሺ።"),
    ("my", "သူလာသည်။| ငါသွားသည်။"),
    ("km", "គាត់មក។| ខ្ញុំទៅ។"),
    ("bo", "ཁོང་ཡོང་།| ང་འགྲོ།"),
    ("vi", "Anh đến.| Chị ở TP. Huế.| Vâng!"),
    ("tr", "3. katta oturuyor.| Prof. Kaya geldi mi?| Evet."),
    ("xx", "Foo bar.| Baz qux?"),
    (None, "Er sah Hrn. Weiß und Sig. Conti.| Gut!"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "marked"), LINES)
def test_a_line_is_cut_where_its_sentences_end(language: str | None, marked: str) -> None:
    parts = marked.split("|")
    found = SentenceSplitter(language).split("".join(parts))
    assert [sentence.strip() for sentence in found] == [part.strip() for part in parts]


def test_a_number_ends_a_sentence_except_where_it_is_an_ordinal() -> None:
    line = "Sie ist 12. Das weiß er."
    assert [SentenceSplitter(language).count(line) for language in ("en", None, "de", "de-AT")] == [2, 2, 1, 1]
    assert SentenceSplitter("de").count("Das war im Jahr 1990. Es war kalt.") == 2


def test_small_letters_go_on_with_a_sentence_unless_all_are_small() -> None:
    assert SentenceSplitter("en").count("He saw it etc. and left. then he came.") == 1
    assert SentenceSplitter("en").count("he saw it. then he came.") == 2
    assert SentenceSplitter("en").count("he saw dr. young e.g. there.") == 1


@pytest.mark.parametrize("line", ["", " ", "...", "No end", "One. ", "!!! ???", "One!!! ???", ". One.", "? ! .", "«»."])
def test_marks_without_words_are_no_sentences(line: str) -> None:
    assert SentenceSplitter("en").split(line) == [line]


@given(st.text(st.sampled_from("aB1 .?!…。！؟।“”\"'»«)(;:\u00a0\u3000é中あαЯ-"), max_size=40))
@example(" \n A.  B? \u2028C")
def test_the_sentences_join_to_the_line_and_split_no_further(line: str) -> None:
    splitter = SentenceSplitter(None)
    sentences = splitter.split(line)
    assert "".join(sentences) == line
    assert splitter.count(line) == len(sentences)
    assert len(sentences) == 1 or all(any(map(str.isalnum, sentence)) for sentence in sentences)


@pytest.mark.parametrize("part", ["?) ", ". ", "1. ", "A. ", "“", "(", " ", "a.b", "? ( ", "...", "。」"])
def test_time_is_linear_in_the_length_of_a_line(part: str) -> None:
    began = time.process_time()
    SentenceSplitter("de").split(part * 30_000 + "A. B")
    assert time.process_time() - began < 2
