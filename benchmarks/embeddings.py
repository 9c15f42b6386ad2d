"""How good vectors of texts are: of a model as it is, and after training without any label.

    python -m benchmarks.embeddings --data=path/to/data --model=work/minilm --questions=en,de,zh
    python -m benchmarks.embeddings --data=path/to/data --model=work/pretrained/model \\
        --dropout_updates=300 --examples=work/text --crop_updates=150

Prints a row for the model, one for what `finetune --task=contrastive` makes of it from the texts of
STS-B's training file alone, two dropout masks each, and one for what `pretrain
--objective=contrastive` makes of it from two crops of each record of contiguous examples. A row has
Spearman's correlation on STS-B's test file, the purity and V-measure of clusters of the BBC's test
stories, and how far up each question of XQuAD finds its paragraph among the 240 of its language.
Runs that have finished are kept in `--work`. The data folder holds stsb/{en,zh}_*.tsv,
bbc_news/test.jsonl and xquad/xquad.*.json.
"""

import dataclasses
import json
from pathlib import Path

from absl import logging

from pipelines import evaluate, finetune, pretrain
from roots_tf import program
from roots_tf.labelled import tables
from roots_tf.storage import files

LENGTH = 64  # tokens of a text in training


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    data: str = program.flag(help="folder of stsb, bbc_news and xquad")
    model: str = program.flag(help="folder of a model that embeds")
    language: str = program.flag("en", help="of STS-B: en or zh")
    questions: tuple[str, ...] = program.flag((), help="languages of XQuAD: en, de, zh")
    dropout_updates: int = program.flag(0, help="of dropout pairs; 0: none", **program.STEPS)
    examples: str = program.flag("", help="contiguous examples of the model's vocabulary")
    crop_updates: int = program.flag(150, help="of crops of --examples", **program.STEPS)
    batch_size: int = program.flag(64, help="texts of an update", **program.ROWS)
    learning_rate: float = program.flag(1e-4, help="of both trainings", minimum=0, maximum=1)
    work: str = program.flag("runs/embeddings", help="folder of the runs")
    output: str = program.flag("", help="JSON file for the scores; none if empty")


def main(config: Config) -> dict[str, dict[str, float]]:
    """Trains and measures; prints the rows and returns them by name."""
    logging.set_verbosity(logging.WARNING)
    found = {"as it is": scores(config, config.model)}
    if config.dropout_updates:
        found["dropout pairs"] = scores(config, dropout_pairs(config))
    if config.examples:
        found["crops"] = scores(config, crops(config))
    for name, row in found.items():
        print(f"{name:<16}" + "".join(f"{key} {value:.3f}  " for key, value in row.items()))
    if config.output:
        files.write_json(config.output, found)
    return found


def scores(config: Config, model: str) -> dict[str, float]:
    """Figures of one model, by name."""
    data = Path(config.data)
    test = str(data / "stsb" / f"{config.language}_test.tsv")
    found = {"sts": measured(model, test, measure="similarity")["spearman"]}
    if config.language == "en":
        stories = measured(model, str(data / "bbc_news" / "test.jsonl"), measure="clustering")
        found |= {name: stories[name] for name in ("purity", "v_measure")}
    for language in config.questions:
        queries, corpus = written_questions(config, language)
        ranks = measured(model, queries, corpus=corpus)
        names = ("recall@1", "recall@10", "mean_reciprocal_rank", "ndcg@10")
        found |= {f"{language} {name}": ranks[name] for name in names}
    return found


def measured(model: str, path: str, **flags) -> dict:
    """What `roots evaluate` prints of a model and a file."""
    return evaluate.main(program.make(evaluate.Config, model=model, input=path, **flags))


def written_questions(config: Config, language: str) -> tuple[str, str]:
    """Files of XQuAD's questions and paragraphs of a language, for a search."""
    articles = files.read_json(Path(config.data, "xquad", f"xquad.{language}.json"))["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    corpus = [
        {"id": str(i), "text": paragraph["context"]} for i, paragraph in enumerate(paragraphs)
    ]
    queries = [
        {"text": question["question"], "relevant": [str(i)]}
        for i, paragraph in enumerate(paragraphs)
        for question in paragraph["qas"]
    ]
    paths = [Path(config.work, f"{name}_{language}.jsonl") for name in ("queries", "corpus")]
    for path, rows in zip(paths, (queries, corpus), strict=True):
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        files.write_text(path, "".join(f"{line}\n" for line in lines))
    return str(paths[0]), str(paths[1])


def run_folder(config: Config, name: str, flags: dict) -> str:
    """Where a run of these flags is."""
    return str(Path(config.work, f"{name}-{files.fingerprint(flags)}"))


def dropout_pairs(config: Config) -> str:
    """The model after dropout pairs of the training file's texts."""
    stsb = Path(config.data, "stsb")
    table = tables.read(stsb / f"{config.language}_train.tsv", ("text", "text_pair", "value"))
    texts = [text for name in ("text", "text_pair") for text in tables.strings(table, name)]
    texts = list(dict.fromkeys(texts))
    path = Path(config.work, f"texts_{config.language}.txt")
    files.write_text(path, "".join(f"{text}\n" for text in texts))
    flags = {
        **{"task": "contrastive", "init_from": config.model, "train": str(path), "seeds": 1},
        **{"dev": str(stsb / f"{config.language}_dev.tsv"), "dropout": 0.1},
        **{"max_seq_length": LENGTH, "batch_size": config.batch_size, "warmup_share": 0.1},
        **{"learning_rate": config.learning_rate, "evaluate_every": config.dropout_updates},
        "num_epochs": config.dropout_updates * config.batch_size / len(texts),
    }
    output = run_folder(config, "dropout", flags)
    finetune.main(program.make(finetune.Config, output=output, **flags))
    return f"{output}/model"


def crops(config: Config) -> str:
    """The model after two crops of each of the examples' records."""
    flags = {
        **{"objective": "contrastive", "init_from": config.model, "examples": config.examples},
        **{"duration": f"{config.crop_updates} steps", "max_seq_length": LENGTH},
        **{"batch_size": config.batch_size, "learning_rate": config.learning_rate},
    }
    output = run_folder(config, "crops", flags)
    pretrain.main(program.make(pretrain.Config, output=output, **flags))
    return f"{output}/model"


if __name__ == "__main__":
    program.run(main, Config)
