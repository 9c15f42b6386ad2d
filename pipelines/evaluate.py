"""Score a fine-tuned model on a labelled file.

    roots evaluate --model=work/task/model --input=test.tsv --output=scores.json

Takes seconds and then as long as the model does. Reads what finetune reads; prints the scores of
the task and writes them as JSON.
"""

import dataclasses

from roots_tf import labelled, models, program, tasks, tokenizers
from roots_tf.metrics import answer_words
from roots_tf.storage import files


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `evaluate`."""

    model: str = program.flag(help="model folder that finetune wrote", role="input")
    input: str = program.flag(help="labelled file", role="input")
    output: str = program.flag(help="JSON file of scores", role="output_file")
    columns: tuple[str, ...] = program.flag(
        (),
        help="names of columns that differ: text=sentence,label=gold; or their order: label,text",
    )
    encoding: str = program.flag(
        "utf-8", help="of text files without a byte order mark: GB18030, Big5, Latin-1, ..."
    )
    metric_language: answer_words.Language = program.flag("auto", help=answer_words.HELP)
    batch_size: int = program.flag(64, help="rows computed at once", **program.ROWS)
    debug: bool = program.flag(False, help="256 examples only, drawn from all")


def main(config: Config) -> dict:
    """Writes and returns the scores."""
    kind = tasks.restore(models.describe(config.model))
    if config.metric_language != "auto":
        kind = kind.with_metric_language(config.metric_language)
    tokenizer = tokenizers.load(config.model)
    examples = labelled.read_examples(kind, config.input, config)
    if config.debug:
        examples = labelled.sample(examples, 256, kind.labels_of(examples))
    model, size = models.load(config.model), config.batch_size
    predictions = tasks.answer(kind, model, tokenizer, examples, batch_size=size, labelled=True)
    scores = kind.scores(examples, predictions) | kind.conditions(examples)
    for name, value in scores.items():
        if isinstance(value, str):
            print(f"{name:<24} {value}")
        elif isinstance(value, dict):
            for label, parts in value.items():
                shown = "  ".join(f"{key} {number:.3f}" for key, number in parts.items())
                print(f"  {label:<16} {shown}")
        else:
            print(f"{name:<24} {value:.4f}")
    files.write_json(config.output, scores)
    return scores


if __name__ == "__main__":
    program.run(main, Config)
