"""What makes a run this one: content and deciding flags, not paths."""

import dataclasses
import json
import re
import shutil

import pytest

import roots_tf
from roots_tf import program
from roots_tf.storage import claims, files


@dataclasses.dataclass(frozen=True)
class Watch:
    role = "free"
    every: int = program.flag(50, help="miles between two log lines")
    chart: str = program.flag("mercator", help="what is drawn on", role="decides")


@dataclasses.dataclass(frozen=True)
class Config:
    output: str = program.flag("log", help="folder", role="output_folder")
    cargo: str = program.flag("", help="file", role="input")
    ports: tuple[str, ...] = program.flag((), help="files", role="input")
    route: tuple[str, ...] = program.flag((), help="ways")
    knots: float = program.flag(5.0, help="speed")
    crew: int = program.flag(9, help="hands", role="free")
    watch: Watch = program.group(Watch(), "watch")


@pytest.fixture
def at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tea.txt").write_text("black")
    (tmp_path / "ports").mkdir()
    (tmp_path / "ports" / "a.txt").write_text("Lima")
    (tmp_path / "ports" / "b.txt").write_text("Cork")
    return tmp_path


def begun(**flags):
    """A folder in which a run has begun and has written something."""
    config = program.make(Config, **{"cargo": "tea.txt", "ports": ("ports",)} | flags)
    claims.of(config).begin(config.output)
    files.write_text(f"{config.output}/metrics.jsonl", "")
    return config


def go_on(config, **flags):
    config = program.replace(config, **flags)
    claims.of(config).begin(config.output)
    return files.read_json(f"{config.output}/config.json")


def test_a_claim_is_in_the_folder(at):
    begun(crew=3)
    saved = files.read_json("log/config.json")
    assert saved.pop("inputs").keys() == {"cargo", "ports"}
    assert saved == {
        "roots_tf": roots_tf.__version__, "program": "test-claims", "output": "log",
        "cargo": "tea.txt", "ports": ["ports"], "route": [], "knots": 5.0, "crew": 3, "every": 50,
        "chart": "mercator",
    }  # fmt: skip


def test_other_spellings_and_other_places_are_the_same_run(at):
    config = begun()
    go_on(config, output="log/")
    go_on(config, output=str(at / "log"), cargo="./ports/../tea.txt", ports=(f"{at}/ports/*.txt",))
    go_on(config, ports=("ports/b.txt", "ports/a.txt"))
    shutil.move("log", "moved")
    shutil.move("ports", "harbours")
    shutil.move("tea.txt", "leaves.txt")
    now = go_on(config, output="moved", ports=("harbours",), cargo="leaves.txt")
    assert now["output"] == "moved"
    assert now["changes"][-1]["flags"]["cargo"] == ["tea.txt", "leaves.txt"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"knots": 6.0}, "found knots=5.0; wanted knots=6.0. Choose another --output"),
        ({"chart": "polar", "knots": 6.0}, "found chart='mercator', knots=5.0; wanted chart="),
        ({"route": ("north",)}, r"found route=\[\]; wanted route=\['north'\]"),
        ({"cargo": "ports/a.txt"}, "found another content of --cargo than the run in log"),
        ({"cargo": ""}, "found another content of --cargo"),
        ({"ports": ("ports/a.txt",)}, "found another content of --ports"),
    ],
)
def test_another_run_is_refused_and_nothing_is_written(at, flags, message):
    config = begun()
    before = (at / "log" / "config.json").read_text()
    for refuses in (go_on, lambda c, **f: claims.of(program.replace(c, **f)).finished("log")):
        with pytest.raises(files.InputError, match=message) as raised:
            refuses(config, **flags)
        assert "\n" not in str(raised.value)
    assert (at / "log" / "config.json").read_text() == before


@pytest.mark.parametrize("name", ["tea.txt", "ports/a.txt"])
def test_content_that_has_changed_is_refused_though_the_path_is_the_same(at, name):
    config = begun()
    text = (at / name).read_text()
    (at / name).write_text(text[::-1])  # of the same size
    with pytest.raises(files.InputError, match="found another content of --(cargo|ports)"):
        go_on(config)
    (at / name).write_text(text)
    assert "changes" not in go_on(config)


def test_what_changes_nothing_may_differ_and_is_recorded(at):
    config = begun()
    go_on(config, crew=12, every=10)
    now = go_on(config, crew=12, every=20)
    assert (now["crew"], now["every"]) == (12, 20)
    recorded = [change["flags"] for change in now["changes"]]
    assert recorded == [{"crew": [9, 12], "every": [50, 10]}, {"every": [10, 20]}]
    assert go_on(config, crew=12, every=20) == now


def test_what_a_program_says_of_a_flag_counts_in_its_place(at):
    config = begun()
    settings = [{"duration": 5, "rate": 0.1}, {"rate": 0.2}]
    shutil.rmtree("log")
    claims.of(config, route=settings).begin("log")
    files.write_text("log/metrics.jsonl", "")
    claims.of(program.replace(config, route=("spelled",)), route=settings).begin("log")
    settings[1]["rate"] = 0.3
    with pytest.raises(files.InputError, match=r"found route\[1\].rate=0.2; wanted .*=0.3\. "):
        claims.of(config, route=settings).begin("log")


def test_flags_of_a_choice_that_python_has_made_decide(at):
    @dataclasses.dataclass(frozen=True)
    class Whaling:
        name = "whaling"
        boats: int = program.flag(4, help="boats")

    @dataclasses.dataclass(frozen=True)
    class Trade:
        name = "trade"

    @dataclasses.dataclass(frozen=True)
    class Voyage:
        voyage: object = program.choice({"trade": Trade}, "trade", help="why", title="voyage")

    claims.of(Voyage(Whaling())).begin("log")
    files.write_text("log/metrics.jsonl", "")
    program.check(Voyage(Whaling(5)))
    with pytest.raises(files.InputError, match="found boats=4; wanted boats=5"):
        claims.of(Voyage(Whaling(5))).begin("log")


def test_a_finished_run_has_a_report(at):
    claim = claims.of(begun())
    assert claim.finished("log") is None
    files.write_json("log/report.json", {"step": 5})
    assert claim.finished("log") == {"step": 5}
    files.write_text("log/report.json", "[1]")
    with pytest.raises(files.InputError, match="report.json; wanted a JSON object"):
        claim.finished("log")


def test_a_mistake_does_not_block_the_corrected_command(at):
    config = begun()
    (at / "log" / "metrics.jsonl").unlink()
    assert go_on(config, knots=7.0)["knots"] == 7.0


def test_another_program_is_refused(at):
    config = begun()
    saved = files.read_json("log/config.json")
    files.write_json("log/config.json", saved | {"program": "curate"})
    for names in (["metrics.jsonl"], []):
        with pytest.raises(files.InputError, match="found what curate has written in log; wanted"):
            claims.of(config).begin("log", replaces=True)
        for name in names:
            (at / "log" / name).unlink()


def test_a_program_may_replace_what_it_wrote_itself(at):
    config = program.replace(begun(), knots=8.0)
    claims.of(config).begin("log", replaces=True)
    assert files.read_json("log/config.json")["knots"] == 8.0
    files.write_json("log/config.json", {"roots_tf": "0.1.0", "knots": 2.0, "route": []})
    claims.of(config).begin("log", replaces=True)
    files.write_json("log/config.json", {"roots_tf": "0.1.0", "knots": 2.0, "sheets": []})
    with pytest.raises(files.InputError, match="found sheets only there"):
        claims.of(config).begin("log", replaces=True)


@pytest.mark.parametrize("name", ["model.json", "manifest.json", "saved_model.pb"])
def test_what_nobody_has_claimed_is_not_mixed_with_a_run(at, name):
    files.write_text(f"vessel/{name}", "{}")
    with pytest.raises(files.InputError, match="in vessel; wanted a new folder"):
        claims.of(Config(output="vessel")).begin("vessel")
    assert sorted(path.name for path in (at / "vessel").iterdir()) == [name]


@pytest.mark.parametrize("head", [{}, {"roots_tf": "0.1.0"}])
def test_a_run_of_an_older_version(at, head):
    """Without digits of contents the paths are compared, as they resolve."""
    values = json.loads(program.to_json(Config(cargo="tea.txt")))
    del values["every"]  # a flag that is new, and free
    files.write_json("log/config.json", head | values)
    files.write_text("log/metrics.jsonl", "")
    claim = claims.of(Config(cargo=f"{at}/tea.txt", crew=2, output="log/"))
    assert claim.finished("log") is None
    with pytest.raises(files.InputError, match="found cargo='.*tea.txt'; wanted cargo=.*a.txt"):
        claims.of(Config(cargo="ports/a.txt")).begin("log")
    files.write_json("log/config.json", head | {"knots": 5.0, "gone": 1})
    version = re.escape(head.get("roots_tf", "0.1.x"))
    with pytest.raises(files.InputError, match=f"that version {version} of roots-tf .* gone "):
        claims.of(Config()).begin("log")


@pytest.mark.parametrize("content", ["[]", "{", '{"inputs": 3}', '{"changes": {}}'])
def test_a_damaged_config_is_one_line(at, content):
    files.write_text("log/config.json", content)
    files.write_text("log/metrics.jsonl", "")
    with pytest.raises(files.InputError, match="log/config.json") as raised:
        claims.of(Config()).begin("log")
    assert "\n" not in str(raised.value)


def test_examples_are_told_by_their_checksums_and_a_model_by_its_files(at):
    shards = [{"name": "a", "sha256": "12", "bytes": 1}]
    manifest = {"build": "b", "tokenizer": {"size": 2}, "splits": {"train": {"shards": shards}}}
    files.write_json("ex/manifest.json", manifest)
    one = claims.content("ex")
    files.write_json("ex/manifest.json", manifest | {"seconds": 3})
    files.write_text("ex/notes.txt", "mine")
    assert claims.content("ex") == one
    shards[0]["sha256"] = "13"
    files.write_json("ex/manifest.json", manifest)
    assert claims.content("ex") != one
    for name in ("model.json", "model.safetensors", "vocab.txt"):
        files.write_text(f"m/{name}", name)
    one = claims.content("m")
    files.write_text("m/README.md", "a card")
    assert claims.content("m/") == one == claims.content(str(at / "m"))
    files.write_text("m/model.safetensors", "model.safetensorS")
    assert claims.content("m") != one


def test_of_large_inputs_sizes_and_times_are_taken(at, monkeypatch):
    monkeypatch.setattr(claims, "WHOLE_BYTES", 3)
    one = claims.content("tea.txt")
    shutil.copy2("tea.txt", "copy.txt")
    assert claims.content("copy.txt") == one
    (at / "tea.txt").write_text("green")
    assert claims.content("tea.txt") != one


@pytest.mark.parametrize("path", ["nowhere", "nowhere/*.txt", "\0", "empty"])
def test_what_cannot_be_read_is_for_its_reader_to_tell(at, path):
    (at / "empty").mkdir()
    assert claims.content(path) == claims.content((path,)) == ""


def test_a_list_of_files_in_one_text_is_told_by_their_content(at):
    files.write_text("a.pos", "good\n")
    files.write_text("a.neg", "bad\n")
    one = claims.content("a.pos,a.neg")
    assert one == claims.content("a.neg,a.pos") == claims.content("a.*") != ""
    files.write_text("a.neg", "BAD\n")
    assert claims.content("a.pos,a.neg") not in ("", one)
