import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roots_tf.corpus.wikitext import plain_text

PAGES = [
    ("'''Whales''' are ''big'' [[mammal]]s.", "Whales are big mammals."),
    ("A [[Sea|the '''sea''']] and [[Oil_lamp]].", "A the sea and Oil lamp."),
    ("Rome{{efn|a {{b|{{{1|c}}}}} [[d]]}} ({{IPA|x}}; ) is old.", "Rome is old."),
    ("See<ref name=a>{{cite|a=<b>x</b>}}</ref> this<ref name=a /> one.", "See this one."),
    ("[[File:A.jpg|thumb|A [[cat]] sits [[Datei:b.png]]]]Cats.", "Cats."),
    ("Cats.[[Category:Pets]][[de:Katze]] [[Kategorie:Tiere|x]]", "Cats."),
    ("[[:Category:Pets|pets]] and [[:File:A.jpg]]", "pets and File:A.jpg"),
    ("[[Star Wars: A New Hope]] [[wikt:cat|cat]]", "Star Wars: A New Hope cat"),
    ("[http://a.org Some site], [https://b.org], [//c.org c d]", "Some site, , c d"),
    ("a\n{| class=x\n|-\n| b || {{c}}\n{|\n| d\n|}\n|}\ne", "a\ne"),
    (":{| class=x\n| b\n|}\ne", "e"),
    ("a<!-- b\n\nc -->d <math>x^2</math> e<br/>f &amp; g&nbsp;h", "ad  e\nf & g\xa0h"),
    ("* one\n# two\n:; three\n----\nfour", "one\ntwo\nthree\nfour"),
    ("== A ==\ntext\n=== B ===\n== C ==\n{{reflist}}\n", "A\ntext"),
    ("= A =\n== B ==\n=== C ===\ntext", "A\nB\nC\ntext"),
    ("__NOTOC__\n<gallery>\nA.jpg|b\n</gallery>text", "text"),
    ("-{zh-hans:海; zh-hant:海洋}-是-{大}-的", "海是大的"),
    # Brackets without a partner cost themselves only.
    ("a {{b c", "a b c"),
    ("a }} b ]] c [[d", "a  b  c d"),
    ("{{a [[b}} c]] d", " c d".strip()),
    ("<ref>open and text", "open and text"),
    ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
    ("{{{{a}}}} {{{b}}} c", "c"),
    ("", ""),
]


@pytest.mark.parametrize(("page", "text"), PAGES)
def test_pages(page, text):
    assert plain_text(page) == text


@given(st.text(st.sampled_from("a {}[]|<>/ref=*\n-!:'(")))
@example("{[[{")
def test_any_page_has_a_text(page):
    text = plain_text(page)
    assert not set(text) - set(page)
    assert "[[" not in text and "{{" not in text


@given(st.text(st.sampled_from("abc .,é\n"), max_size=80))
def test_text_without_markup_stays(page):
    assert plain_text(page) == "\n".join(filter(None, map(str.strip, page.split("\n"))))


BOMBS = {
    "open_links": "[[a" * 300_000,
    "nested_links": "[[" * 300_000 + "]]" * 300_000,
    "open_templates": "{{" * 500_000,
    "links_in_templates": "{{[[a" * 200_000 + "}}" * 200_000,
    "tables": "{|\n" * 200_000 + "|}\n" * 200_000,
    "headings": "=" * 1_000_000 + "x",
    "address": "[//" + "a" * 1_000_000,
    "tags": "<a" * 500_000,
    "references": "<ref>" * 200_000,
    "variants": "-{" + "a" * 1_000_000,
    "parentheses": "( " * 500_000,
    "spaces": " " * 1_000_000 + "x",
    "comments": "<!--" * 250_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_hostile_pages_end(name):
    """A second; quadratic time would be an hour."""
    assert len(plain_text(BOMBS[name])) <= len(BOMBS[name])
