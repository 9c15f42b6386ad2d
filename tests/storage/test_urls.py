"""URLs: which there are, what is told of them, and what a store's errors become."""

import dataclasses
import socket
import sys
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from roots_tf import flags
from roots_tf.storage import claims, downloads, files, listings, paths, sources, urls


@pytest.mark.parametrize(
    "text, wanted",
    [
        *(
            ("s3://b/a.txt", True),
            ("S3://b/a", True),
            ("gs://b", True),
            ("hf://datasets/o/n", True),
            ("hf://o/n", False),
            ("hf://gpt2", False),
            ("hf://o/n/file.txt", True),
        ),
        *(("https://host/a", True), ("a.txt", False), ("/s3://b", False), ("zh=s3://b/a", False)),
        *(("ftp://host/a", False), ("s3:/b/a", False), ("", False)),
    ],
)
def test_which_texts_are_urls(text, wanted):
    assert urls.is_url(text) is wanted


@hypothesis.given(
    secret=strategies.text("abcXYZ019-_.~%+/=&", min_size=6, max_size=40).map("S3CR3T{}".format),
    host=strategies.from_regex(r"[a-z]{1,9}(\.[a-z]{2,5}){0,2}(:[0-9]{2,4})?", fullmatch=True),
    around=strategies.sampled_from(["{}", "could not read {}: 403", "'{}'", "({}).", "{}, {}"]),
)
def test_no_secret_of_a_url_is_shown(secret, host, around):
    user = secret.replace("/", "")
    for url in (
        f"https://{host}/a/b.txt?X-Amz-Signature={secret}",
        f"https://user:{user}@{host}/a/b.txt",
        f"https://{user}@{host}/a/b.txt?a=1&sig={secret}#x",
        f"s3://user:{user}@{host}/a/b.txt",
    ):
        shown = urls.shown(around.format(url, url))
        assert "S3CR3T" not in shown
        assert f"{host}/a/b.txt" in shown


def test_a_url_with_a_password_is_refused():
    with pytest.raises(files.InputError, match="a password in s3://bucket/a; wanted") as caught:
        files.expand("s3://me:hidden@bucket/a")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("scheme, library, extra", [("s3", "s3fs", "s3"), ("gs", "gcsfs", "gcs")])
def test_a_library_that_is_missing_is_named_with_its_extra(monkeypatch, scheme, library, extra):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(files.InputError, match=rf"{library}.*pip install 'roots-tf\[{extra}\]'"):
        urls.filesystem(f"{scheme}://bucket/a")


def about(url: str) -> listings.About:
    return listings.about(url, anew=True)


def test_what_is_forbidden_or_missing_is_asked_for_once(store):
    url = store.put("urls/a.txt", b"text")
    store.fail("a.txt", "403", times=9)
    with pytest.raises(files.InputError, match="s3://corpus/urls/a.txt was refused") as caught:
        about(url)
    assert (caught.value.id, len(store.requests)) == ("store-refused", 1)
    store.reset()
    with pytest.raises(files.InputError, match="nothing at s3://corpus/urls/b.txt;") as caught:
        about(store.url("urls/b.txt"))
    assert (caught.value.id, len(store.requests)) == ("no-such-file", 2)  # a file, a folder
    with pytest.raises(files.InputError, match="nothing at s3://corpse [(]"):
        files.expand("s3://corpse/urls/*.txt")


def test_errors_of_the_server_end_in_one_line(store, monkeypatch):
    url = store.put("urls/a.txt", b"text")
    store.fail("a.txt", "503", times=100)
    with pytest.raises(files.InputError, match="in 7 tries, the last of which gave:") as caught:
        about(url)
    assert (caught.value.id, len(store.requests)) == ("store-unreachable", 7)
    assert "\n" not in str(caught.value)
    assert "secret/of" not in str(caught.value)


def test_no_credentials_and_no_network_are_told(store, monkeypatch):
    import s3fs

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", closed)
    with pytest.raises(files.InputError, match="could not reach s3://corpus/a.txt in 7 tries"):
        about("s3://corpus/a.txt")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(files.InputError, match="no credentials for s3://corpus/a.txt; wanted"):
        about("s3://corpus/a.txt")
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize(
    "name, wanted",
    [
        ("s3://", "found s3:// alone; wanted a bucket"),
        ("s4://corpus/a", "URLs that are known begin with s3://, gs://"),
        ("ftp://host/a", "URLs that are known begin with s3://, gs://"),
        ("s3:/corpus/a", "URLs that are known begin with s3://, gs://"),
        ("S3://corpus/a", "wanted s3:// in small letters"),
        ("s3://my corpus/a", 'Invalid bucket name "my corpus"'),
        ("https://localhost:1/a.txt?sig=0a1b", "could not reach https://localhost:1/a.txt in 7 "),
    ],
)
def test_a_url_of_nothing_is_told(store, name, wanted):
    with pytest.raises(files.InputError, match=wanted) as caught:
        files.expand(name)
    assert "0a1b" not in str(caught.value)


def test_a_hub_that_is_not_there_is_told(store, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("HF_TOKEN", "hf_0a1b2c3d")
    wanted = "could not reach hf://datasets/owner/name/a.txt in 7 tries"
    with pytest.raises(files.InputError, match=wanted) as caught:
        files.expand("hf://datasets/owner/name/a.txt")
    assert "hf_0a1b" not in str(caught.value)


def test_a_bug_is_no_network(monkeypatch):
    def bug():
        return {}["key"]

    with pytest.raises(KeyError):
        urls.attempts(bug, "s3://bucket/a")


TREE = ("b.txt", "a.txt", "_log.txt", ".hidden", "CC-1/x.txt", "CC-2/x.txt", "_tmp/x.txt")
TREE += (".tasks/x.txt", "_tmp/.y.txt")


@pytest.fixture
def tree(store):
    for key in TREE:
        store.put(f"tree/{key}", key.encode())
    store.put("tree/CC-2/", b"")  # what some tools leave where a folder is made
    store.put("table/a.parquet", b"1")
    store.put("table/report.json", b"2")
    return store


@pytest.mark.parametrize(
    "pattern, wanted",
    [
        ("tree", ["CC-1/x.txt", "CC-2/x.txt", "a.txt", "b.txt"]),
        ("tree/", ["CC-1/x.txt", "CC-2/x.txt", "a.txt", "b.txt"]),
        ("tree/*.txt", ["a.txt", "b.txt"]),
        ("tree/[b-z].txt", ["b.txt"]),
        ("tree/CC-*/*.txt", ["CC-1/x.txt", "CC-2/x.txt"]),
        ("tree/CC-?", ["CC-1/x.txt", "CC-2/x.txt"]),
        ("tree/**/x.txt", ["CC-1/x.txt", "CC-2/x.txt"]),
        ("tree/*", ["CC-1/x.txt", "CC-2/x.txt", "_tmp/x.txt", "a.txt", "b.txt"]),
        ("tree/.hidden", [".hidden"]),
        ("tree/_log.txt", ["_log.txt"]),
    ],
)
def test_folders_and_patterns(tree, tmp_path, pattern, wanted):
    found = [url.removeprefix(tree.url("tree/") + "/") for url in files.expand(tree.url(pattern))]
    assert sorted(found) == sorted(wanted)
    # The same files are found here.
    for key in TREE:
        (tmp_path / "tree" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / key).write_text(key)
    local = [
        path.removeprefix(f"{tmp_path}/tree/") for path in files.expand(f"{tmp_path}/{pattern}")
    ]
    assert sorted(local) == sorted(wanted)


def test_a_name_of_an_object_and_of_a_folder_means_the_folder_where_a_slash_ends_it(
    tree, tmp_path, monkeypatch
):
    monkeypatch.setenv("ROOTS_CACHE", str(tmp_path))
    tree.put("two/both", b"object")
    both = tree.put("two/both/in.txt", b"inside").removesuffix("/in.txt")
    assert files.expand(both) == [both]
    assert files.expand(f"{both}/") == [f"{both}/in.txt"]
    inside = Path(downloads.local(f"{both}/"))
    assert [path.name for path in inside.iterdir()] == ["in.txt"]
    with pytest.raises(files.InputError, match="both, which is a file, and in a folder of that na"):
        downloads.local(tree.url("two"))


def test_a_table_hides_what_else_is_in_its_folder(tree):
    assert files.expand(tree.url("table")) == [tree.url("table/a.parquet")]
    with pytest.raises(files.InputError, match="no file that matches 's3://corpus/tree/z"):
        files.expand(tree.url("tree/z*"))


def test_lists_of_urls_and_named_sources(tree):
    a, b = tree.url("tree/a.txt"), tree.url("tree/b.txt")
    assert paths.split_list(f"{a},{b}") == (a, b)
    assert sources.split(f"zh={a},en={b}") == {"en": b, "zh": a}
    assert sources.expand({"x": a, "y": tree.url("tree/CC-1")}) == {
        "x": [a],
        "y": [tree.url("tree/CC-1/x.txt")],
    }
    with pytest.raises(files.InputError, match="in the sources x and y"):
        sources.expand({"x": a, "y": tree.url("tree/*.txt")})


def test_a_claim_follows_the_content_and_not_the_place(tree):
    one = claims.content(tree.url("tree"))
    tree.put("elsewhere/deep/a.txt", b"a.txt")
    for key in ("b.txt", "CC-1/x.txt", "CC-2/x.txt"):
        tree.put(f"elsewhere/deep/{key}", key.encode())
    assert one == claims.content(tree.url("elsewhere/deep")) != ""
    tree.put("elsewhere/deep/a.txt", b"b.txt")
    assert claims.content(tree.url("elsewhere/deep")) not in (one, "")
    a, b = tree.put("one.txt", b"same"), tree.put("another.txt", b"same")
    assert claims.content(a) == claims.content(b) != claims.content(tree.put("b.txt", b"other"))
    assert claims.content((a, b)) == claims.content([b, a])


def test_a_listing_that_lags_behind_hides_nothing_that_is_named(tree):
    tree.fail("list-type", "hide:tree/a.txt", times=2)
    assert tree.url("tree/a.txt") not in files.expand(tree.url("tree"))
    assert listings.about(tree.url("tree/a.txt")).size == 5


def test_streams_is_kept_on_the_flag():
    @dataclasses.dataclass(frozen=True)
    class Config:
        input: str = flags.flag(help="what is read", role="input", streams=True)
        model: str = flags.flag("", help="a folder", role="input")

    found = flags.flags_of(Config)
    assert (found["input"].streams, found["model"].streams) == (True, False)
