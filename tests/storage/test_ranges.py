"""Files behind URLs, read by ranges: the same bytes as local ones, whatever the network does."""

import gzip
import random

import pyarrow
import pyarrow.parquet
import pytest

from roots_tf.storage import compression, files, parquet, ranges, urls

TEXT = "".join(f"line {n} of a text that is read by ranges\n" for n in range(2000)).encode()


@pytest.fixture
def small_ranges(monkeypatch):
    monkeypatch.setattr(ranges, "FIRST_BYTES", 1 << 13)
    monkeypatch.setattr(ranges, "MOST_BYTES", 1 << 15)


@pytest.mark.parametrize("key", ["ranges/a.txt", "ranges/a b[1]?#%+.txt", "ranges/ü/日本.txt"])
def test_bytes_are_those_of_the_file(store, key, small_ranges):
    url = store.put(key, TEXT)
    with ranges.opened(url) as file:
        assert file.read() == TEXT
        generator = random.Random(0)
        for _ in range(8):
            start, length = generator.randrange(len(TEXT) + 100), generator.randrange(3000)
            file.seek(start)
            assert file.read(length) == TEXT[start : start + length]
        assert file.seek(-5, 2) == len(TEXT) - 5
        assert file.read() == TEXT[-5:]
    with ranges.opened(url, 100, 200) as file:
        assert file.read() == TEXT[100:200]
    assert ranges.size(url) == len(TEXT)
    assert files.expand(url) == [url]


def test_ranges_grow_and_none_is_asked_for_twice(store, small_ranges):
    url = store.put("ranges/grow.txt", TEXT)
    with ranges.opened(url, 0, len(TEXT)) as file:
        while file.read(1000):
            pass
    # 8, 8 and then 16 and 32 KiB, without a question for the size.
    assert len(store.requests) == 5, store.requests
    assert {method for method, _, _ in store.requests} == {"GET"}


@pytest.mark.parametrize("fault", ["503", "500", "cut"])
def test_what_may_pass_is_tried_again(store, small_ranges, fault):
    url = store.put("ranges/again.txt", TEXT)
    store.fail("again.txt", fault, times=4)
    store.fail("again.txt", "cut", times=2)
    with ranges.opened(url) as file:
        assert file.read() == TEXT


@pytest.mark.parametrize("fault", ["slow", "hang"])
def test_an_answer_that_does_not_come_is_asked_for_again(store, monkeypatch, fault):
    url = store.put("ranges/slow.txt", TEXT)
    assert ranges.size(url) == len(TEXT)
    monkeypatch.setattr(urls, "READ_SECONDS", 1)
    store.fail("GET", fault)
    with ranges.opened(url) as file:
        assert file.read() == TEXT


def test_a_file_that_has_shrunk_is_told(store):
    url = store.put("ranges/shrunk.txt", TEXT)
    assert files.expand(url) == [url]
    file = ranges.opened(url)
    assert ranges.size(url) == len(TEXT)
    store.put("ranges/shrunk.txt", TEXT[:1000])
    with pytest.raises(files.InputError, match=r"found 1000 bytes in s3://.*shrunk.txt, of which"):
        file.read()


def test_what_is_gone_is_told_at_once(store):
    url = store.put("ranges/gone.txt", TEXT)
    assert files.expand(url) == [url]
    store.delete("ranges/gone.txt")
    with pytest.raises(files.InputError, match=r"nothing at s3://corpus/ranges/gone.txt") as caught:
        list(compression.chunks(url))
    assert caught.value.id == "no-such-file"


def test_compressed_and_parquet_are_read_as_local_ones(store, tmp_path, small_ranges):
    packed = gzip.compress(TEXT[:50_000]) + gzip.compress(TEXT[50_000:])
    url = store.put("ranges/packed.txt.gz", packed)
    assert b"".join(compression.chunks(url)) == TEXT
    cut = store.put("ranges/cut.txt.gz", packed[:-20])
    with pytest.raises(compression.DamagedFileError, match=r"could not read s3://.*cut.txt.gz"):
        list(compression.chunks(cut))
    table = pyarrow.table({"text": [f"text {n}" * 50 for n in range(3000)], "n": range(3000)})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=700)
    url = store.put("ranges/a.parquet", tmp_path / "a.parquet")
    with parquet.opened(url) as file:
        assert list(parquet.rows(file, url, ["text", "n"])) == table.to_pylist()
        assert [row["n"] for row in parquet.rows(file, url, ["n"], [2])] == list(range(1400, 2100))
    url = store.put("ranges/broken.parquet", b"PAR1 and no more")
    with pytest.raises(files.InputError, match=r"could not read s3://.*broken.parquet as Parquet"):
        parquet.opened(url)
    with pytest.raises(files.InputError, match="nothing at s3://corpus/ranges/absent.parquet"):
        parquet.opened(store.url("ranges/absent.parquet"))


def test_a_web_server_that_knows_no_ranges_gives_files_whole(store, tmp_path):
    """Python's own server has neither ranges nor checksums."""
    import functools
    import http.server
    import threading

    (tmp_path / "a.txt").write_bytes(TEXT)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/a.txt?signature=0a1b2c"
        assert files.expand(url) == [url]
        with ranges.opened(url, 500) as file:
            assert file.read(300) == TEXT[500:800]
            assert file.read() == TEXT[800:]
        missing = url.replace("a.txt", "b.txt")
        with pytest.raises(files.InputError, match="nothing at http://[0-9.:]*/b.txt") as caught:
            files.expand(missing)
        assert "0a1b2c" not in str(caught.value)
        server.shutdown()
