"""Lists, patterns and folders of files, and what links among them do."""

import os

import pytest

from roots_tf.storage import files, paths


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names):
    for name in names:
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "w") as file:
            file.write(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("a.txt", ("a.txt",)),
        ("a.txt, b.txt", ("a.txt", "b.txt")),
        ("Austen, Jane - Emma [1815].txt", ("Austen, Jane - Emma [1815].txt",)),
        (
            "a.txt,Austen, Jane - Emma [1815].txt , b.txt",
            ("a.txt", "Austen, Jane - Emma [1815].txt", "b.txt"),
        ),
        ("Austen, *.txt", ("Austen, *.txt",)),
        ("x,y/a.txt", ("x,y/a.txt",)),
        ('"absent, file.txt",b.txt', ("absent, file.txt", "b.txt")),
        ('say "no, no".txt', ('say "no, no".txt',)),
        ("*.txt,absent.txt", ("*.txt", "absent.txt")),
        ("text=sentence,label=gold", ("text=sentence", "label=gold")),
    ],
)
def test_a_list_that_commas_part(here, text, expected):
    touch("a.txt", "b.txt", "Austen, Jane - Emma [1815].txt", "x,y/a.txt", 'say "no, no".txt')
    assert paths.split_list(text) == expected


def test_a_list_that_can_be_read_in_two_ways(here):
    touch("a", "b", "a,b")
    with pytest.raises(ValueError, match='"a","b"'):
        paths.split_list("a,b")
    assert paths.split_list('"a","b"') == ("a", "b")
    assert paths.split_list('"a,b"') == ("a,b",)
    with pytest.raises(ValueError, match="quotes"):
        paths.split_list('"a,b')


def test_linked_folders_are_followed_and_files_are_read_once(here):
    touch("real/0.txt", "real/sub/1.txt", "in/own.txt", "elsewhere/2.txt")
    os.symlink("../real", "in/books")
    os.symlink("../../in", "real/sub/loop")
    os.symlink(".", "in/self")
    os.symlink("../elsewhere/2.txt", "in/two.txt")
    os.symlink("own.txt", "in/same.txt")
    expected = ["in/books/0.txt", "in/books/sub/1.txt", "in/own.txt", "in/two.txt"]
    for pattern in ("in", "in/", "in/**", "in/**/*.txt"):
        found = files.expand(pattern)
        assert sorted(map(os.path.realpath, found)) == sorted(map(os.path.realpath, expected))
    assert files.expand("in") == expected
    assert files.expand(["in/own.txt", "in/same.txt", "real/0.txt", "in/books/*.txt"]) == [
        "in/own.txt",
        "real/0.txt",
    ]
    assert files.expand("in/*/sub/*.txt") == ["in/books/sub/1.txt"]


def test_many_loops_end(here):
    touch("in/a.txt")
    for name in "bcdefgh":
        os.symlink(".", f"in/{name}")
    assert files.expand("in/**/*.txt") == ["in/a.txt"]


def test_a_link_to_nothing_is_named(here):
    touch("in/a.txt")
    os.symlink("../gone", "in/books")
    with pytest.raises(
        files.InputError, match=r"could not read in/books: it leads nowhere, to .*gone"
    ):
        files.expand("in")


def test_patterns_of_any_depth(here):
    touch("a.txt", "x/b.txt", "x/y/c.txt", "x/.hidden/d.txt", "x/y/e.md")
    assert files.expand("**/*.txt") == ["a.txt", "x/b.txt", "x/y/c.txt"]
    assert files.expand("x/**/y/*") == ["x/y/c.txt", "x/y/e.md"]
    assert files.expand("x/**/y") == ["x/y/c.txt", "x/y/e.md"]
    assert files.expand("?/**/*.md") == ["x/y/e.md"]


def test_names_as_people_write_them(here):
    names = ["a b.txt", "#1.txt", "x[1].txt", "日本 – é.txt", "a,b.txt", "_own.txt"]
    touch(*names)
    for name in names:
        assert files.expand(name) == [name]
        assert files.expand(here / name) == [str(here / name)]
    assert files.expand("*.txt") == sorted(names[:-1])


def test_what_is_not_found_says_how_commas_are_written(here):
    with pytest.raises(files.InputError, match=r"matches 'Austen'.*in quotes"):
        files.expand(["Austen", "Jane.txt"])


def test_one_text_is_a_name_where_it_is_there_and_else_a_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert paths.named("a,b.txt") == ("a", "b.txt")
    (tmp_path / "a,b.txt").touch()
    assert paths.named("a,b.txt") == ("a,b.txt",)
