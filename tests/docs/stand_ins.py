"""What the commands of pages read, in small: a name means one thing on all pages.

A command runs in a folder where `novels/*.txt`, `work/examples` or `train.jsonl` stand as a reader
has them. Files are written; what programs make is made by the command that a page would show, when
a command first reads it.
"""

import gzip
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

from tests.docs.shown import ROOT

CHINESE = (
    "秦王派使者到赵国。皇帝下诏任命他为刺史。国家主席今天在北京会见了客人。将军率领军队攻打城池。"
)
SENTENCES = 24  # of a novel, and labelled ones


def english(seed: int, count: int = SENTENCES) -> list[str]:
    """Sentences of English, no two of them equal."""
    rng = random.Random(seed)
    parts = (
        ("The old captain", "A young woman", "My brother", "The tired doctor", "Her teacher"),
        ("opened", "looked at", "thought of", "went back to", "did not see", "remembered"),
        ("the heavy door", "the small house", "a long letter", "the quiet garden", "this book"),
        ("before the morning came", "and said nothing", "with a smile", "in the dark of the night"),
    )
    return [
        f"{' '.join(rng.choice(part) for part in parts)}, and there were {seed}{i} of them."
        for i in range(count)
    ]


def chinese(seed: int) -> list[str]:
    """Sentences of Chinese, no two of them equal."""
    rng = random.Random(seed)
    return [
        "".join(rng.sample(CHINESE.replace("。", ""), 12)) + f"有{seed}{i}人。"
        for i in range(SENTENCES)
    ]


def lines(path: Path, texts) -> None:
    """A text a line, or an object of JSON a line."""
    texts = [t if isinstance(t, str) else json.dumps(t, ensure_ascii=False) for t in texts]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(texts) + "\n", "utf-8")


def write(root: Path) -> None:
    """Files that a reader has before the first command."""
    (root / "pipelines").symlink_to(ROOT / "pipelines")
    for number in range(12):
        paragraph = "\n\n".join(english(number))
        lines(root / f"novels/{number}.txt", [paragraph])
        lines(root / f"udhr/{number}.txt", [paragraph])
        lines(root / f"histories_zh/{number}.txt", chinese(number))
    for folder, texts in (("zh", chinese(7)), ("en", english(7)), ("more", english(8))):
        lines(root / folder / "a.txt", texts)
    lines(root / "plays.jsonl", [{"text": text} for text in english(9)])
    lines(root / "news.jsonl", [{"text": text} for text in english(13)])
    with gzip.open(root / "news.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"body": text}) + "\n" for text in english(10))
    _write_crawl(root / "crawl" / "0.warc.gz")
    lines(root / "train.en", english(11))
    lines(root / "train.de", [f"Das ist der Satz {i}." for i in range(SENTENCES)])
    for number, split in enumerate(("dev", "test"), 12):
        lines(root / f"{split}.en", english(number, 4))
        lines(root / f"{split}.de", right := [f"Das ist nun der Satz {i}." for i in range(4)])
    lines(root / "one.hyp", [text.replace("nun", "wohl") for text in right])
    lines(root / "other.hyp", [text.upper() for text in right])
    _write_texts(root)
    _write_labelled(root)


def _write_crawl(path: Path) -> None:
    path.parent.mkdir()
    words = re.findall(r"\b[a-z]+\b", (ROOT / "LICENSE").read_text("utf-8"))

    def paragraph(rng: random.Random) -> str:
        sentences = (" ".join(rng.sample(words, 14)) for _ in range(6))
        return " ".join(f"{sentence.capitalize()}." for sentence in sentences)

    rng = random.Random(0)
    with gzip.open(path, "wb") as file:
        for number in range(4):
            text = "".join(f"<p>{paragraph(rng)}</p>" for _ in range(5))
            page = f"<html><body><article>{text}</article></body></html>".encode()
            page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page
            header = (
                "WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http\r\n"
                f"WARC-Record-ID: <urn:uuid:{number}>\r\nWARC-Date: 2026-01-01T00:00:00Z\r\n"
                f"WARC-Target-URI: http://example.org/{number}\r\nContent-Length: {len(page)}\r\n"
            )
            file.write(header.encode() + b"\r\n" + page + b"\r\n\r\n")


def _write_texts(root: Path) -> None:
    """Texts to ask models about."""
    some = english(12, 6)
    for name in ("new.txt", "notes.txt", "texts.txt", "held_out.txt", "questions.txt"):
        lines(root / name, some)
    lines(root / "prompts.txt", [text.partition(" of")[0] for text in some])
    lines(root / "sentences.txt", chinese(12)[:4])
    lines(root / "drugs.txt", ["paracetamol", "ibuprofen"])
    lines(root / "corpus.jsonl", [{"id": f"{i}", "text": text} for i, text in enumerate(some)])
    lines(root / "queries.jsonl", [{"text": some[0][:20], "relevant": ["0"]}])
    lines(root / "texts.jsonl", [{"text": text} for text in some])
    lines(root / "questions.jsonl", [{"prompt": "Where is it?"}])
    lines(root / "examples.jsonl", [{"prompt": "Who is it?", "answer": "I."}] * 2)
    for folder in ("", "blimp/"):
        pairs = [{"good": text, "bad": text[::-1], "field": "order"} for text in some[:3]]
        lines(root / f"{folder}pairs.jsonl", pairs)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz'?,"]
    vocabulary += [f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"]
    lines(root / "bert/vocab.txt", vocabulary + [f"word{i}" for i in range(8000)])


def _write_labelled(root: Path) -> None:
    """Files to learn a task from."""
    for number, split in enumerate(("train", "dev", "test")):
        texts = english(30 + number, 8)
        labels = ["good" if i % 2 else "bad" for i in range(8)]
        rows = list(zip(texts, labels, strict=True))
        lines(root / f"{split}.jsonl", [{"text": t, "label": label} for t, label in rows])
        if split == "train":
            told = [
                {
                    "text": t,
                    "label": y,
                    "probabilities": dict.fromkeys(("bad", "good"), 0.3) | {y: 0.7},
                }
                for t, y in rows
            ]
            lines(root / "work/labels.jsonl", told)
        lines(root / f"{split}.tsv", ["text\tlabel", *map("\t".join, rows)])
        lines(root / f"reviews/{split}.tsv", ["label\ttext_a", *(f"{b}\t{a}" for a, b in rows)])
        tags = ["O" if i % 4 else "B-PER" for i in range(24)]
        words = "".join(chinese(30 + number))
        tagged = [f"{word}\t{tag}" for word, tag in zip(words, tags, strict=False)]
        lines(root / f"msra/{split}.txt", [*tagged, ""])
        if split == "train":
            pairs = [{"text": text, "positive": text[:30]} for text in texts]
            lines(root / "sts/train.jsonl", pairs)
            lines(root / "hard.jsonl", [pair | {"negative_0": "a text"} for pair in pairs])
        else:
            pairs = [f"{text}\t{text[:30]}\t{i % 6}" for i, text in enumerate(texts)]
            lines(root / f"sts/{split}.tsv", ["text\ttext_pair\tvalue", *pairs])
        answers = [{"prompt": f"{text} Is it so?", "answer": f" {label}"} for text, label in rows]
        lines(root / f"answers/{split}.jsonl", answers)


PRETRAIN = "pretrain --examples=work/examples --output=work/pretrained --preset=modern --dropout=0"
MADE_BY = {
    "work/documents": "curate --input='novels/*.txt' --documents=file --output=work/documents",
    "work/old_run": "curate --input='novels/*.txt' --documents=file --output=work/old_run "
    "--keep_index",
    "work/tokenizer": "train-tokenizer --input=work/documents --output=work/tokenizer",
    "work/examples": "build-examples --input=work/documents --tokenizer=work/tokenizer "
    "--held_out=0.03 --output=work/examples",
    "work/text": "build-examples --layout=contiguous --max_seq_length=128 "
    "--input=work/documents --tokenizer=work/tokenizer --output=work/text",
    "work/translations": "build-examples --layout=translation --input=train.en,train.de "
    "--tokenizer=work/tokenizer --max_seq_length=64 --output=work/translations",
    "work/examples_384": "build-examples --input=work/documents --tokenizer=work/tokenizer "
    "--held_out=0.03 --max_seq_length=384 --output=work/examples_384",
    "work/long_examples": "build-examples --input=work/documents --tokenizer=work/tokenizer "
    "--max_seq_length=256 --output=work/long_examples",
    "work/domain_examples": "build-examples --input=work/documents --tokenizer=work/bert_base "
    "--held_out=0.03 --output=work/domain_examples",
    "work/text_256": "build-examples --layout=contiguous --max_seq_length=256 "
    "--input=work/documents --tokenizer=work/tokenizer --output=work/text_256",
    "work/pretrained": PRETRAIN,
    "work/bert": "pretrain --examples=work/examples --output=work/bert",
    "work/gpt": "pretrain --examples=work/text --objective=causal_lm --output=work/gpt",
    "work/discriminator": "pretrain --examples=work/text --objective=replaced_tokens "
    "--output=work/discriminator",
    "work/crops": "pretrain --examples=work/text --objective=contrastive "
    "--init_from=work/pretrained/model --output=work/crops",
    "work/task": "finetune --init_from=work/pretrained/model --output=work/task "
    "--train=train.jsonl --dev=dev.jsonl --test=test.jsonl",
    "work/light": "finetune --tune=lora --init_from=work/bert_base --output=work/light "
    "--train=train.jsonl --dev=dev.jsonl --test=test.jsonl",
    "peft_folder": "export --format=peft --model=work/light/adapter --output=peft_folder",
    "work/adapter": "import --from=peft_folder --base=work/bert_base --output=work/adapter",
    "work/vectors": "finetune --task=contrastive --init_from=work/pretrained/model "
    "--train=sts/train.jsonl --dev=sts/dev.tsv --output=work/vectors",
    "work/other_reviews": "finetune --init_from=work/pretrained/model --output=work/other_reviews "
    "--train=train.jsonl --dev=dev.jsonl --test=test.jsonl --schedule=constant",
    "work/one": "finetune --task=cloze --template='{text} It was [MASK].' --train=train.jsonl "
    "--verbalizer=good=great,bad=terrible --init_from=work/pretrained/model --dev=dev.jsonl "
    "--output=work/one",
    "work/names": "finetune --task=tagging --train=msra/train.txt --dev=msra/dev.txt "
    "--init_from=work/pretrained/model --output=work/names",
    "work/translator": "finetune --task=sequence_to_sequence --tokenizer=work/tokenizer "
    "--size=tiny --train=train.en,train.de --dev=train.en,train.de --output=work/translator",
    "bert-base-uncased": "export --model=work/bert/model --output=bert-base-uncased "
    "--format=huggingface",
    "work/gpt2": "import --from=gpt2 --output=work/gpt2",
    "gpt2": "export --model=work/gpt/model --output=gpt2 --format=huggingface",
}
SAME_AS = {
    "work/verbatim": "work/documents",
    "work/bpe": "work/tokenizer",
    "documents": "work/documents",
    "runs/documents": "work/documents",
    "vocabulary": "work/tokenizer",
    "runs/tokenizer": "work/tokenizer",
    "runs/examples": "work/examples",
    "work/zh": "work/examples",
    "work/en": "work/examples",
    "work/de": "work/examples",
    "work/mini": "work/pretrained",
    "work/minilm": "work/bert/model",
    "work/bert_base": "work/bert/model",
    "work/other": "work/one",
    "work/reviews": "work/task",
    "work/student": "work/task",
    "work/by_dropout": "work/vectors",
    "work/ner": "work/names",
}


def need(root: Path, value: str, run: Callable[[str, Path], None]) -> None:
    """Makes what a value of a flag names, if a program makes it and nothing has yet.

    Args:
        root: where commands run.
        value: such as "zh=work/zh,en=work/en".
        run: runs a command that writes to a place.
    """
    for name in value.replace("=", ",").split(","):
        parts = name.strip("/").split("/")
        for known in ("/".join(parts[:1]), "/".join(parts[:2])):
            place = root / known
            if place.exists():
                continue
            if known in SAME_AS:
                need(root, SAME_AS[known], run)
                place.parent.mkdir(exist_ok=True)
                place.symlink_to(root / SAME_AS[known])
            elif known in MADE_BY:
                run(MADE_BY[known], place)
