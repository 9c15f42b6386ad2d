"""Folders pushed to a server that speaks the hub's protocol: one commit, and never over a model."""

import pytest
from huggingface_hub import constants

from roots_tf import hubs
from roots_tf.flags import FlagError
from roots_tf.storage.files import InputError
from tests.hubs.server import READER, TOKEN

CARD = '---\nlicense: "mit"\n---\n# A model\n'


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "hf"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "README.md").write_text(CARD)
    (folder / "config.json").write_text("{}")
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "mean"}')
    (folder / "model.safetensors").write_bytes(b"weights" * 9_000)
    return folder


@pytest.fixture
def writer(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub


def contents(folder) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def target(**flags) -> hubs.Target:
    return hubs.Target(hubs.PushFlags(push_to="me/model", **flags))


@pytest.mark.parametrize("private", [False, True])
def test_a_repository_is_made_and_gets_one_commit(writer, folder, private):
    before = target(private=private)
    assert "me/model" not in writer.repositories
    url = before.push(folder)
    made = writer.repositories["me/model"]
    assert made.private == private
    assert len(made.commits) == 2  # that of the hub, and ours
    assert url == f"{writer.url}/me/model/commit/{made.refs['main']}"
    assert made.head == contents(folder) | {".gitattributes": b"*"}


def test_files_of_others_stay_and_a_model_is_never_covered_unasked(writer, folder):
    other = {"README.md": b"mine", "notes.txt": b"n", "LICENSE": b"l"}
    repository = writer.add("me/model", other)
    target().push(folder)
    assert repository.head == contents(folder) | other
    old = {"pytorch_model.bin": b"old", "added_tokens.json": b"{}", "config.json": b"{1}"}
    first = repository.commit(other | old)
    with pytest.raises(InputError, match=r"found a model in me/model \(config.json, pytorch_model"):
        target()
    assert repository.refs["main"] == first
    target(push_over=True).push(folder)
    assert repository.head == contents(folder) | {"LICENSE": b"l"}
    assert repository.commits[first] == other | old  # of the history


def test_what_comes_meanwhile_is_not_covered(writer, folder):
    repository = writer.add("me/model", {"README.md": b"mine"})
    before = target()
    theirs = repository.commit({"README.md": b"mine", "config.json": b"theirs"})
    with pytest.raises(InputError, match="found a commit in me/model that came meanwhile"):
        before.push(folder)
    assert repository.refs["main"] == theirs
    before = hubs.Target(hubs.PushFlags(push_to="me/new"))
    repository = writer.add("me/new", {"config.json": b"theirs"})
    with pytest.raises(InputError, match="found a model in me/new"):
        before.push(folder)
    assert len(repository.commits) == 1


def test_who_may_not_write_is_told_before_anything_is_done(hub, folder, monkeypatch):
    with pytest.raises(InputError, match="found --push_to=me/model and no token; wanted one that"):
        target()
    assert hub.asked == []
    monkeypatch.setenv("HF_TOKEN", "hf_stale")
    with pytest.raises(InputError, match="found a token that the hub does not know") as refused:
        target()
    assert "hf_stale" not in str(refused.value)
    monkeypatch.setenv("HF_TOKEN", READER)
    with pytest.raises(InputError, match="found that your token may not do that in me/model"):
        target().push(folder)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        InputError, match="found 127.0.0.1.* not to be reached for me/model .HF_HUB_OFFLINE"
    ):
        target()
    assert hub.repositories == {}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"push_to": "model"}, "found --push_to=model; wanted owner/name"),
        ({"push_to": "a/b/c"}, "found --push_to=a/b/c; wanted owner/name"),
        ({"private": True}, "found --private and no --push_to"),
        ({"push_over": True}, "found --push_over and no --push_to"),
        ({"language": ("English",)}, "found --language=English; wanted codes of ISO 639"),
        ({"license": "Apache 2"}, "found --license=Apache 2; wanted a name that the hub lists"),
        ({"datasets": ("a b",)}, "found --datasets=a b; wanted names such as"),
    ],
)
def test_flags_that_mean_nothing_are_refused(flags, message):
    with pytest.raises((InputError, FlagError), match=message):
        hubs.Target(hubs.PushFlags(**flags))


@pytest.mark.parametrize(
    "where", ["GET /api/whoami-v2", "POST /api/repos/create", "POST /api/models/.*/commit/", "PUT"]
)
def test_a_hub_that_is_down_for_a_moment_is_asked_again(writer, folder, where):
    fault = writer.fault(where, status=503, headers={"Retry-After": 0})
    target().push(folder)
    assert fault.times == 0
    made = writer.repositories["me/model"]
    assert len(made.commits) == 2
    assert made.head.keys() >= contents(folder).keys()


def test_a_commit_whose_answer_was_lost_is_not_made_twice(writer, folder):
    writer.fault("POST /api/models/.*/commit/", lose=True)
    url = target().push(folder)
    made = writer.repositories["me/model"]
    assert len(made.commits) == 2
    assert url.endswith(made.refs["main"])


def test_a_hub_without_xet_says_what_to_set(writer, folder, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    with pytest.raises(InputError, match="Xet storage is not to be had.*HF_HUB_DISABLE_XET=1 for"):
        target().push(folder)


def test_a_head_that_the_hub_refuses_is_one_line(writer, folder):
    (folder / "README.md").write_text("---\nlicense: 3\n---\n")
    with pytest.raises(InputError, match='refuses the head of .*: Invalid .* "license" must be a'):
        target().push(folder)
    assert "config.json" not in writer.repositories["me/model"].head
