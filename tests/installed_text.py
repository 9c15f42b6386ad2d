"""Real text that every machine with this package holds, for where there is no other.

The docstrings of Python's own library are books of English prose; those of some packages are
short texts whose topic is the package they come from.
"""

import json
import random
import textwrap
from pathlib import Path

from roots_tf.corpus import docstrings

NUM_BOOKS = 10
TOPICS = ("keras", "numpy", "python", "scipy", "sklearn")
SPLITS = {"train": 200, "dev": 30, "test": 30}  # texts of each topic


def texts_of(
    packages: tuple[str, ...], folder: Path, most_files: int | None = None
) -> dict[str, list[str]]:
    """The docstrings of each package, or of some of its files, in the same order each time."""
    files = {package: [] for package in packages}
    for file in docstrings.installed_files():
        if file.source in packages:
            files[file.source].append(file)
    some = [
        file
        for own in files.values()
        for file in own[:: max(1, len(own) // (most_files or len(own)))]
    ]
    docstrings.write_docstrings(folder, sources=some)
    found = {package: [] for package in packages}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            document = json.loads(line)
            found[document["source"]].append(document["text"])
    return found


def write_books(folder: Path) -> None:
    """Text files of about 140 kB as old novels come: a byte-order mark, CRLF, lines of 70."""
    texts = texts_of(("python",), folder / ".docstrings")["python"]
    for number in range(NUM_BOOKS):
        paragraphs = [
            textwrap.fill(line, 70, break_long_words=False)
            for text in texts[number::NUM_BOOKS]
            for line in text.splitlines()
        ]
        book = "\n\n".join(paragraphs).replace("\n", "\r\n")
        (folder / f"book_{number}.txt").write_text(book, "utf-8-sig", newline="")


def write_topics(folder: Path) -> None:
    """`train.jsonl`, `dev.jsonl` and `test.jsonl`, each line with text, label and id."""
    rng = random.Random(0)
    texts = texts_of(TOPICS, folder / ".docstrings", most_files=150)
    splits = {split: [] for split in SPLITS}
    for topic, own in texts.items():
        rest = rng.sample(own, sum(SPLITS.values()))
        for split, count in SPLITS.items():
            splits[split] += [{"text": text, "label": topic} for text in rest[:count]]
            rest = rest[count:]
    for split, rows in splits.items():
        rng.shuffle(rows)
        lines = [json.dumps(row | {"id": f"{split}-{i}"}) for i, row in enumerate(rows)]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def passages(folder: Path) -> list[str]:
    """Texts of 40 to 120 words on one line each."""
    texts = (" ".join(text.split()) for text in texts_of(("python",), folder)["python"])
    return [text for text in texts if 40 <= len(text.split()) <= 120]


def write_questions(path: Path) -> None:
    """SQuAD's format: five questions a passage; the answer is some words of it, drawn by chance."""
    rng, paragraphs = random.Random(0), []
    for number, context in enumerate(passages(path.parent / ".docstrings")[:60]):
        questions = []
        for word in rng.sample(context.split(), 5):
            start = context.index(word)
            text = " ".join(context[start:].split()[: rng.randint(1, 4)])
            answer = {"text": text, "answer_start": start}
            name = f"{number}-{len(questions)}"
            questions.append({"id": name, "question": f"Is {word} in it?", "answers": [answer]})
        paragraphs.append({"context": context, "qas": questions})
    content = {"version": "1.1", "data": [{"title": "docstrings", "paragraphs": paragraphs}]}
    path.write_text(json.dumps(content), "utf-8")


def write_tagged(path: Path) -> None:
    """CoNLL's format: sentences whose entities of three types, some words each, are drawn."""
    rng, lines = random.Random(0), []
    for passage in passages(path.parent / ".docstrings"):
        for sentence in passage.split(". "):
            words = sentence.split()
            while words:
                kind = rng.choice(["O", "O", "O", "PER", "LOC", "ORG"])
                some, words = words[:2], words[2:]
                tags = ["O"] * len(some)
                if kind != "O":
                    tags = [f"B-{kind}", f"I-{kind}"][: len(some)]
                lines += map("\t".join, zip(some, tags, strict=True))
            lines.append("")
    path.write_text("\n".join(lines) + "\n", "utf-8")
