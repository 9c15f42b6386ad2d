import bz2
import gzip
import json
import lzma
import tracemalloc
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.corpus import reading
from roots_tf.corpus.documents import Document
from roots_tf.corpus.tally import Tally
from roots_tf.storage import compression, files

HEAD = (
    '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">\n'
    "  <siteinfo>\n    <sitename>Wikipedia</sitename>\n"
    "    <base>https://en.wikipedia.org/wiki/Main_Page</base>\n"
    '    <namespaces><namespace key="6">File</namespace></namespaces>\n  </siteinfo>\n'
)


def page(title, *texts, namespace=0, extra="", model="wikitext"):
    revisions = "".join(
        f"    <revision>\n      <id>{number}</id>\n      <timestamp>2024-05-0{number}</timestamp>\n"
        f"      <contributor><username>Ann</username><id>7</id></contributor>\n"
        f"      <comment>{escape('<page>')}</comment>\n      <model>{model}</model>\n"
        f'      <text bytes="9" xml:space="preserve">{escape(text)}</text>\n    </revision>\n'
        for number, text in enumerate(texts, 1)
    )
    return (
        f"  <page>\n    <title>{escape(title)}</title>\n    <ns>{namespace}</ns>\n"
        f"    <id>3</id>\n{extra}{revisions}  </page>\n"
    )


def dump(*pages):
    return (HEAD + "".join(pages) + "</mediawiki>\n").encode()


WHALE = page("Blue whale", "first", "'''Whales''' & <ref>R</ref> [[sea]]")
MIXED = dump(
    WHALE,
    page("Whale", "#REDIRECT [[Blue whale]]", extra='    <redirect title="Blue whale" />\n'),
    page("Talk:Whale", "I think", namespace=1),
    page("Module", "{}", model="json"),
    page("Gone", ""),
    page("Größe/2?", "is &lt; size"),
)


def read(path, tally=None, **options):
    return list(reading.read_documents([path], tally=tally, **options))


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)],
)
def test_articles(tmp_path, suffix, compress):
    path = tmp_path / f"a.xml{suffix}"
    path.write_bytes(compress(MIXED))
    tally = Tally()
    documents = read(path, tally)
    base = "https://en.wikipedia.org/wiki/"
    metadata = [
        {"date": "2024-05-02", "title": "Blue whale", "url": f"{base}Blue_whale"},
        {"date": "2024-05-01", "title": "Größe/2?", "url": f"{base}Gr%C3%B6%C3%9Fe/2%3F"},
    ]
    text = "'''Whales''' & <ref>R</ref> [[sea]]"
    assert [json.loads(document.metadata) for document in documents] == metadata
    assert documents[0][:4] == (text, "Blue whale", "", "wikitext")
    assert documents[1].text == "is &lt; size"
    assert (tally.documents_in, tally.dropped) == (2, {})
    assert tally.notes == {
        "redirects": 1,
        "pages_of_other_namespaces": 1,
        "pages_not_wikitext": 1,
        "pages_without_text": 1,
    }


def test_streams_one_after_the_other_are_one_file(tmp_path):
    """As in the dumps whose name holds "multistream"."""
    for suffix, compress in ((".bz2", bz2.compress), (".xz", lzma.compress)):
        path = tmp_path / f"a.xml{suffix}"
        path.write_bytes(b"".join(compress(MIXED[at : at + 500]) for at in range(0, 9999, 500)))
        assert len(read(path)) == 2


titles = st.text(st.sampled_from("ab é<>&'\" \n"), max_size=60)


@settings(max_examples=40, deadline=None)
@given(st.lists(titles, max_size=8), st.integers(20, 2000))
def test_parts_and_blocks_change_nothing(tmp_path_factory, texts, size):
    path = tmp_path_factory.mktemp("parts") / "a.xml"
    path.write_bytes(dump(*(page(f"T{n}", text) for n, text in enumerate(texts))))
    expected = read(path)
    assert [document.text for document in expected] == [text for text in texts if text.strip()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "BLOCK_BYTES", size)
        spans = [s for task in reading.plan([str(path)], "file", size) for s in task]
        found = [document for span in spans for document in reading.read_span(span, "file")]
    assert found == expected


def test_large_dumps_are_cut_at_pages(tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes(dump(*(page(f"T{n}", "sea " * 100) for n in range(100))))
    assert 8 <= len(reading.plan([str(path)], "file", path.stat().st_size // 10)) <= 10


ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
LAUGHS = f'<?xml version="1.0"?><!DOCTYPE mediawiki [<!ENTITY a0 "ha">{ENTITIES}]>'
EXTERNAL = '<!DOCTYPE mediawiki [<!ENTITY e SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (LAUGHS.encode() + dump(page("T", "&a9;")).replace(b"&amp;a9", b"&a9"), "document_type"),
        (EXTERNAL.encode() + dump(page("T", "&e;")).replace(b"&amp;e", b"&e"), "document_type"),
        (dump(page("T", "&e;")).replace(b"&amp;e", b"&e"), "damaged_file"),
        (dump(WHALE)[:-300], "damaged_file"),
        (dump(WHALE).replace(b"</revision>", b"</page>"), "damaged_file"),
        (HEAD.encode() + b"<page>" * 100_000, "too_deep"),
        (HEAD.encode() + b"<page><title a='" + b"x" * (18 << 20), "damaged_file"),
    ],
)
def test_hostile_dumps_cost_one_document(tmp_path, data, reason):
    path = tmp_path / "a.xml"
    path.write_bytes(data)
    tally = Tally()
    assert read(path, tally) == []
    assert {reason: counts[0] for reason, counts in tally.dropped.items()} == {reason: 1}
    tally.documents_out = 0
    tally.check()


def test_articles_before_damage_are_read(tmp_path):
    path = tmp_path / "a.xml.gz"
    pages = [page(f"T{n}", f"sea {n}") for n in range(300)]
    path.write_bytes(gzip.compress(dump(*pages)[:-5000]))
    tally = Tally()
    assert len(read(path, tally)) == 300 - 5000 // len(pages[-1]) - 1
    assert tally.dropped["damaged_file"][0] == 1


def test_an_article_that_is_too_long_is_not_held(tmp_path):
    path = tmp_path / "a.xml"
    with path.open("w") as file:
        file.write(HEAD + page("Long", "@").partition("@")[0])
        for _ in range(100):
            file.write("sea " * 250_000)
        file.write(page("Long", "@").partition("@")[2] + WHALE + "</mediawiki>")
    tally = Tally()
    tracemalloc.start()
    assert [document.source for document in read(path, tally, max_chars=10**6)] == ["Blue whale"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tally.dropped["too_long"][0] == 1
    assert peak < 30e6


@pytest.mark.parametrize("data", [b"<html><body></body></html>", b"Call me Ishmael.", b"{}"])
def test_a_file_that_is_no_dump(tmp_path, data):
    (tmp_path / "a.xml").write_bytes(data)
    with pytest.raises(files.InputError, match=r"no MediaWiki dump in .*a.xml.*leave it out"):
        read(tmp_path / "a.xml")
    (tmp_path / "a.xml.bz2").write_bytes(data)
    with pytest.raises(files.InputError, match=r"could not read .*a.xml.bz2"):
        read(tmp_path / "a.xml.bz2")


def test_a_dump_without_an_address(tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes(b"<mediawiki>" + page("T", "sea").encode() + b"</mediawiki>")
    metadata = '{"date": "2024-05-01", "title": "T"}'
    assert read(path) == [Document("sea", "T", "", "wikitext", metadata)]
