"""A part of each source by its share of a mixture, of bytes, by a hash."""

import pytest

from roots_tf.corpus.mixing import Mixture, find
from roots_tf.storage import files
from tests.corpus.test_sampling import documents_of, kept
from tests.corpus.unique_shards import write_shards


def mixed(tmp_path, counts, name="one", shards=2, **parameters):
    documents = documents_of({("", source): number for source, number in counts.items()})
    unique = write_shards(tmp_path / name, documents, shards)
    result = find(unique, Mixture(**parameters), tmp_path / name)
    return {part["source"]: part for part in result["sources"]}, kept(unique, result)


def test_the_smallest_for_its_share_is_kept_whole(tmp_path):
    sources, chosen = mixed(tmp_path, {"en": 3000, "zh": 300}, weights={"en": 2.0, "zh": 1.0})
    assert sources["zh"]["rate"] == 1
    assert sources["zh"]["kept"] == 300
    share = sources["en"]["kept_bytes"] / sum(part["kept_bytes"] for part in sources.values())
    assert share == pytest.approx(2 / 3, abs=0.02)
    assert len(chosen) == sources["en"]["kept"] + 300
    again, same = mixed(
        tmp_path, {"zh": 300, "en": 3000}, "again", 3, weights={"zh": 1.0, "en": 2.0}
    )
    assert (again["en"], same) == (sources["en"], chosen)


def test_nothing_goes_where_shares_are_as_they_are(tmp_path):
    sources, chosen = mixed(tmp_path, {"en": 50, "zh": 5})
    assert len(chosen) == 55
    assert sources["en"]["rate"] == 1


def test_a_bound_of_bytes(tmp_path):
    sources, _ = mixed(tmp_path, {"en": 4000, "zh": 3000}, alpha=0.0, most_bytes=20_000)
    for part in sources.values():
        assert part["kept_bytes"] == pytest.approx(10_000, rel=0.1)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"names": ("en", "fr")}, "found documents of the source 'zh'"),
        ({"names": ("en", "fr", "zh")}, "found nothing in the source fr"),
        ({"weights": {"en": 1.0}}, "a weight for each"),
        ({"weights": {"en": 1.0, "zh": 0.0}}, "found 'zh=0.0'"),
    ],
)
def test_sources_that_are_not_there(tmp_path, parameters, message):
    with pytest.raises(files.InputError, match=message):
        mixed(tmp_path, {"en": 20, "zh": 5}, **parameters)
