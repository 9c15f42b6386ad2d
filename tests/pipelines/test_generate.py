"""`generate`: prompts from anywhere, answers to anywhere, mistakes in one line."""

import dataclasses
import io
import json
import shutil
import sys

import pytest

from pipelines import generate
from roots_tf import models, program, tokenizers
from roots_tf.generation import Settings
from roots_tf.storage.files import InputError
from tests.generation import tiny

FEW = Settings(max_new_tokens=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("tiny") / "model")


def make(folder, **flags):
    flags = {"choose": FEW} | flags
    return generate.main(generate.Config(model=str(folder), **flags))


def test_prompts_come_from_everywhere(folder, tmp_path, capsys, monkeypatch):
    prompts = ["He said", "She, too"]
    (tmp_path / "p.txt").write_text("He said\n\nShe, too\n")
    (tmp_path / "p.jsonl").write_text('{"prompt": "He said", "more": 1}\n{"prompt": "She, too"}\n')
    answers = make(folder, input=str(tmp_path / "p.txt"), json=True)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == answers
    assert [answer["prompt"] for answer in answers] == prompts
    output = tmp_path / "out" / "a.jsonl"
    make(folder, input=str(tmp_path / "p.jsonl"), output=str(output))
    assert [json.loads(line) for line in output.read_text().splitlines()] == answers
    keys = {"prompt", "text", "tokens", "log_probability", "ended", "sample"}
    assert set(answers[0]) == keys
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(prompts).encode())))
    make(folder, stream=True)
    shown = capsys.readouterr().out
    assert shown == "".join(generate._printable(f"{a['prompt']}{a['text']}\n") for a in answers)


def test_examples_stand_before_each_prompt_as_far_as_there_is_room(folder, tmp_path, monkeypatch):
    from roots_tf.generation.texts import Texts

    asked = []
    answers = Texts.answers
    monkeypatch.setattr(
        Texts, "answers", lambda self, p, *rest: asked.extend(p) or answers(self, p, *rest)
    )
    lines = [
        {"prompt": "a", "answer": "b"},
        {"messages": [{"role": "user", "content": "c"}, {"role": "you", "content": "d"}]},
        {"prompt": "long " * 7, "answer": "e"},
    ]
    file = tmp_path / "examples.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    [answer] = make(folder, prompt="Q", examples_file=str(file))
    assert asked == ["a b\n\nuser: c\nyou: d\n\nQ"]
    assert answer["prompt"] == "Q"
    make(folder, prompt="Q", examples_file=str(file), num_examples=1)
    assert asked[1] == "a b\n\nQ"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"prompt": "a"}', "line 1; wanted a JSON object with texts `prompt` and `answer`"),
        ('{"messages": [3]}', "wanted a JSON object with texts"),
        ("3", "wanted a JSON object with texts"),
        ("{", "which is no JSON"),
        ('{"prompt": "", "answer": ""}', "found an example without text"),
        ("", "found no example in"),
    ],
)
def test_an_example_of_another_form_is_named(tmp_path, line, message):
    file = tmp_path / "examples.jsonl"
    file.write_text(line)
    with pytest.raises(InputError, match=message):
        generate._examples(str(file), "utf-8")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found no prompt in"),
        (b'{"text": "a"}', "line 1; wanted a JSON object with a text `prompt`"),
        (b'{"prompt": ""}', "that is not empty"),
        (b"{", "which is no JSON"),
        (b'{"prompt": "\xff"}', "utf-8|UTF-8"),
    ],
)
def test_a_file_of_other_things_is_named(folder, tmp_path, content, message):
    file = tmp_path / "p.jsonl"
    file.write_bytes(content)
    with pytest.raises(InputError, match=message):
        make(folder, input=str(file), output=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"choose": generate.Asked(decoding="greedy", top_k=2)}, "--decoding=greedy, which does"),
        ({"choose": generate.Asked(temperature=0.0)}, "or --decoding=greedy, which takes"),
        ({"choose": generate.Asked(min_new_tokens=80)}, "--min_new_tokens=80 above"),
        ({"prompt": "a", "input": "b"}, "found --prompt and --input"),
        ({"prompt": "a", "stream": True, "json": True}, "found --stream and --json"),
        ({"prompt": "a", "stream": True, "choose": Settings(decoding="beam")}, "stream of --deco"),
        ({"prompt": "a", "num_samples": 2, "choose": Settings(decoding="greedy")}, "one answer"),
        ({"prompt": "\ud800" * 60}, "wanted at most 47"),
    ],
)
def test_flags_that_contradict_are_refused(folder, flags, message):
    with pytest.raises(InputError, match=message):
        make(folder, **flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"temperature": -1.0}, "--temperature=-1.0; wanted a number from 0"),
        ({"top_p": 2.0}, "--top_p=2.0; wanted a number above 0 to 1"),
        ({"num_samples": 0}, "--num_samples=0"),
        ({"num_beams": 0}, "--num_beams=0"),
    ],
)
def test_numbers_have_bounds(folder, flags, message):
    config = program.make(generate.Config, model=str(folder), prompt="a", **flags)
    with pytest.raises(program.FlagError, match=message):
        generate.main(config)


def test_an_empty_prompt_is_refused(folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b" \n")))
    with pytest.raises(InputError, match="found an empty prompt.*wanted a text to continue"):
        make(folder)


def test_other_models_are_refused(folder, tmp_path):
    described = models.describe(folder)["encoder"]
    masked = models.Pretrainer(dataclasses.replace(described, num_segments=2))
    models.save(tmp_path, masked)
    with pytest.raises(InputError, match="found a model of kind pretrainer .* use fill-mask"):
        make(tmp_path, prompt="a")
    causal = models.load(folder)
    models.save(tmp_path / "bare", causal)
    with pytest.raises(InputError, match=r"found none of tokenizer\.json"):
        make(tmp_path / "bare", prompt="a")
    assert tokenizers.load(folder).bos_id is not None


def test_a_stop_is_written_as_a_shell_can():
    assert [generate._unescaped(text) for text in (r"\n\n", r"a\tb", r"\\n")] == [
        "\n\n", "a\tb", r"\n",
    ]  # fmt: skip


def test_a_model_of_conversations_answers_them(folder, tmp_path):
    from roots_tf.labelled import chat

    talker = shutil.copytree(folder, tmp_path / "talker")
    described = json.loads((talker / "model.json").read_text())
    template = dataclasses.asdict(chat.CHAT)
    described["task"] = {"name": "completion", "template": template}
    described.pop("sha256")
    (talker / "model.json").write_text(json.dumps(described))
    talk = [{"role": "user", "content": "Hi <|endoftext|>"}]
    file = tmp_path / "talks.jsonl"
    file.write_text(json.dumps({"messages": talk}) + "\n")
    [answer] = make(talker, input=str(file))
    tokenizer = tokenizers.load(talker)
    [rendered] = chat.render(chat.CHAT, [talk], tokenizer, reply=True)
    assert answer["prompt"] == tokenizer.decode(rendered.ids, skip_special_tokens=False)
    assert rendered.ids[0] == tokenizer.bos_id and answer["prompt"].endswith("assistant:\n")
    assert make(talker, input=str(file), stream=True)[0]["text"] == answer["text"]
    with pytest.raises(InputError, match="model that was not fine-tuned on conversations"):
        make(folder, input=str(file))
    file.write_text(json.dumps({"messages": [*talk, {"role": "assistant", "content": "x"}]}))
    with pytest.raises(InputError, match="line 1; wanted one that the assistant can answer"):
        make(talker, input=str(file))
    file.write_text(json.dumps({"messages": talk}) + '\n{"prompt": "a"}\n')
    with pytest.raises(InputError, match="found prompts and messages"):
        make(talker, input=str(file))
