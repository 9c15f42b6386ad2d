"""Files behind URLs, read by ranges: the same bytes as local ones, whatever the network does."""

import random

import pytest

from roots_tf.storage import ranges

TEXT = "".join(f"line {n} of a text that is read by ranges\n" for n in range(60_000)).encode()


@pytest.fixture
def small_ranges(monkeypatch):
    monkeypatch.setattr(ranges, "FIRST_BYTES", 1 << 10)
    monkeypatch.setattr(ranges, "MOST_BYTES", 1 << 14)


@pytest.mark.parametrize("key", ["ranges/a.txt", "ranges/a b[1]?#%.txt", "ranges/ü/日本.txt"])
def test_bytes_are_those_of_the_file(store, key, small_ranges):
    import urllib.parse

    store.put(urllib.parse.quote(key), TEXT[:100_000])
    url = store.url(key)
    with ranges.opened(url) as file:
        assert file.read() == TEXT[:100_000]
        generator = random.Random(0)
        for _ in range(30):
            start, length = generator.randrange(100_100), generator.randrange(3000)
            file.seek(start)
            assert file.read(length) == TEXT[:100_000][start : start + length]
            assert file.tell() == max(start, min(start + length, 100_000))
        assert file.seek(-5, 2) == 99_995
        assert file.read() == TEXT[99_995:100_000]
