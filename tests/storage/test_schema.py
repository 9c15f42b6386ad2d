import dataclasses
import json
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roots_tf.storage import files, schema


@dataclasses.dataclass(frozen=True)
class Head:
    name: str
    labels: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Plan:
    num_layers: int = schema.number(minimum=1, maximum=1000)
    heads: list[Head] = dataclasses.field(default_factory=list)
    rate: float = schema.number(0.5, above=0)
    pooling: typing.Literal["mean", "cls", 1] = "mean"
    prompts: dict[str, str] = dataclasses.field(default_factory=dict)
    version: str | int | None = None
    from_: bool = False
    extra: object = None


def read(tmp_path, value, **how):
    path = tmp_path / "plan.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return schema.read(path, Plan, **how)


def test_a_file_becomes_an_instance(tmp_path):
    value = {
        "num_layers": 3,
        "heads": [{"name": "a"}, {"name": "b", "labels": ["x", "y"]}],
        "rate": 2,
        "pooling": "cls",
        "prompts": {"query": "q: "},
        "version": 4,
        "from": True,
        "extra": [1, {"a": None}],
    }
    plan = Plan(
        num_layers=3,
        heads=[Head("a"), Head("b", ("x", "y"))],
        rate=2.0,
        pooling="cls",
        prompts={"query": "q: "},
        version=4,
        from_=True,
        extra=[1, {"a": None}],
    )
    found = read(tmp_path, value)
    assert found == plan and type(found.rate) is float
    assert read(tmp_path, {"num_layers": 3}) == Plan(3)
    assert read(tmp_path, {"num_layers": 3, "other": 1}, others_may_stand=True) == Plan(3)


MISTAKES = {
    '{"num_layers": -1}': "found num_layers=-1 in {}; wanted a number from 1 to 1000",
    '{"num_layers": 1.0}': "found num_layers=1.0 in {}; wanted a whole number",
    '{"num_layers": true}': "found num_layers=True in {}; wanted a whole number",
    "{}": "found no num_layers in {}; wanted a whole number",
    "[1]": "found a list in {}; wanted a JSON object",
    '{"num_layers": 1, "heads": {}}': "found heads=an object in {}; wanted a list, each a JSON obj",
    '{"num_layers": 1, "heads": [{}]}': "found no heads[0].name in {}; wanted a text",
    '{"num_layers": 1, "heads": [{"name": 1}]}': "found heads[0].name=1 in {}; wanted a text",
    '{"num_layers": 1, "rate": 0}': "found rate=0.0 in {}; wanted a number above 0",
    '{"num_layers": 1, "rate": NaN}': "found rate=nan in {}; wanted a number above 0",
    '{"num_layers": 1, "rate": 1e999}': "found rate=inf in {}; wanted a number above 0",
    '{"num_layers": 1, "rate": 1%s}' % ("0" * 400): "found rate=inf in {}; wanted a number above 0",
    '{"num_layers": 1, "pooling": "max"}': "found pooling='max' in {}; wanted one of mean, cls, 1",
    '{"num_layers": 1, "pooling": true}': "found pooling=True in {}; wanted one of mean, cls, 1",
    '{"num_layers": 1, "prompts": {"q": 1}}': "found prompts.q=1 in {}; wanted a text",
    '{"num_layers": 1, "version": 1.5}': "found version=1.5 in {}; wanted a text or a whole number",
    '{"num_layers": 1, "form": true}': "found 'form' in {}; wanted no keys but num_layers, heads",
    '{"num_layers": "%s"}' % ("a" * 999): "found num_layers='" + "a" * 56 + "... in {}; wanted a",
    '{"num_layers": 1, "version": "a\\ud800"}': "found version='a\\ud800' in {}; wanted a text",
    '{"num_layers": 1, "prompts": {"\\ud800": "a"}}': "found a key of prompts='\\ud800' in {}; w",
    "": "found no JSON in {}",
    '{"num_layers": 1': "found no JSON in {}",
    "[" * 100_000: "found no JSON in {}",
    '{"num_layers": 1%s}' % ("0" * 5000): "found no JSON in {}",
}


@pytest.mark.parametrize("text", MISTAKES, ids=lambda text: text[:40])
def test_a_mistake_names_its_place(tmp_path, text):
    with pytest.raises(files.InputError) as caught:
        read(tmp_path, text)
    wanted = MISTAKES[text].replace("{}", str(tmp_path / "plan.json"), 1)
    assert str(caught.value).startswith(wanted)


def test_what_is_no_file_is_refused(tmp_path):
    import os

    os.mkfifo(tmp_path / "fifo")  # to open it would wait for a writer
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "none", tmp_path / "none" / "x"):
        with pytest.raises(files.InputError, match="found no file"):
            schema.read(path, Plan)
    (tmp_path / "bytes.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(files.InputError, match="found no JSON in"):
        schema.read(tmp_path / "bytes.json", Plan)
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(files.LARGEST_JSON + 1)
    with pytest.raises(files.InputError, match="bytes in .*large.json; wanted the JSON that an"):
        schema.read(tmp_path / "large.json", Plan)


@dataclasses.dataclass(frozen=True)
class Sizes:
    layers: int = schema.number(minimum=1, maximum=9)
    rates: tuple[float, ...] = schema.number((), above=0)
    kind: typing.Literal["a", "b"] = "a"

    def __post_init__(self):
        schema.check_fields(self)


def test_what_code_makes_is_checked_as_what_is_read(tmp_path):
    assert Sizes(3, (0.5, 1), "b").layers == 3
    for fields, message in (
        ({"layers": 0}, "found layers=0; wanted a number from 1 to 9"),
        ({"layers": "3"}, "found layers='3'; wanted a whole number"),
        ({"layers": True}, "found layers=True; wanted a whole number"),
        ({"layers": 1, "kind": "c"}, "found kind='c'; wanted one of a, b"),
    ):
        with pytest.raises(files.InputError, match=message):
            Sizes(**fields)
    (tmp_path / "a.json").write_text('{"layers": 3, "rates": [1, 0]}')
    with pytest.raises(
        files.InputError, match=r"found rates\[1\]=0.0 in .*a.json; wanted a number"
    ):
        schema.read(tmp_path / "a.json", Sizes)


def test_any_object_is_read_and_nothing_else(tmp_path):
    (tmp_path / "a.json").write_text('{"b": [1, null]}')
    assert schema.read_object(tmp_path / "a.json") == {"b": [1, None]}
    for text in ("[]", "1", "null", '"a"'):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(files.InputError, match="a.json; wanted a JSON object"):
            schema.read_object(tmp_path / "a.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([f.name for f in dataclasses.fields(Plan)]), inner)
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_json_is_an_instance_or_refused(value):
    try:
        plan = schema.check(value, Plan, "plan.json")
    except files.InputError as error:
        assert "plan.json" in str(error)
    else:
        assert type(plan.num_layers) is int and 1 <= plan.num_layers <= 1000
        assert type(plan.rate) is float and plan.rate > 0
        assert all(type(head.name) is str for head in plan.heads)
