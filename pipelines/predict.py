"""Answer new examples with a fine-tuned model.

    roots predict --model=work/task/model --input=new.txt --output=answers.jsonl

Takes seconds and then as long as the model does. Reads what finetune reads, without the answers: a
text a line (`.txt`), or TSV, CSV, JSON lines, Parquet, CoNLL, SQuAD by task. Writes a JSON object
an example: label and probabilities; value; tags and entities, or an answer, with their place in the
text in characters.
"""

import dataclasses
import json

from absl import logging

from roots_tf import labelled, models, program, tasks, tokenizers
from roots_tf.storage import files


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `predict`."""

    model: str = program.flag(help="model folder that finetune wrote", role="input")
    input: str = program.flag(help="file of examples", role="input")
    output: str = program.flag(help="file of answers, JSON lines", role="output_file")
    columns: tuple[str, ...] = program.flag(
        (), help="names of columns that differ: text=sentence; or the order of all"
    )
    encoding: str = program.flag(
        "utf-8", help="of text files without a byte order mark: GB18030, Big5, Latin-1, ..."
    )
    batch_size: int = program.flag(64, help="rows computed at once", **program.ROWS)
    debug: bool = program.flag(False, help="the first 16 examples only")


def main(config: Config) -> list[dict]:
    """Writes and returns one answer an example, in the order of the file."""
    kind = tasks.restore(models.describe(config.model))
    tokenizer = tokenizers.load(config.model)
    examples = labelled.read_examples(kind, config.input, config, labelled=False)
    if config.debug:
        examples = labelled.first(examples, 16)
    model = models.load(config.model)
    predictions = tasks.answer(kind, model, tokenizer, examples, batch_size=config.batch_size)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in predictions)
    files.write_text(config.output, "".join(lines))
    logging.info("%s holds %d answers", config.output, len(predictions))
    return predictions


if __name__ == "__main__":
    program.run(main, Config)
