"""Turn texts into vectors, one a text.

    roots embed --model=work/minilm --input=notes.txt --output=notes.parquet --l2_normalize
    roots embed --model=work/pretrained/model --input='documents/*.parquet' --output=vectors.npy

Reads plain text with a text a line (blank lines are left out), JSON lines or Parquet with a column
`text`. A `.parquet` has the columns `text` and `embedding`, a `.npy` is [texts, H], both in the
order of the input. Vectors are float32, or what `--vector_type` says, and `--width` cuts those that
were trained for it. Some thousand texts are in memory at a time, and those of similar length are
computed together. `--pooling=mean` takes the mean over the tokens, `cls` the first token, `pooler`
the layer that next-sentence training or a classifier put on the first token. What no flag says is
as the model folder says, which has it from the checkpoint that was imported or from vectors that
were learned; of a folder that says nothing, the mean, not scaled.

While it works, finished vectors stand beside the output, in `notes.parquet.parts/`; a run that was
stopped or killed goes on behind them, run again with the same flags and files.
"""

import dataclasses
import time
from pathlib import Path
from typing import Literal

from absl import logging

from roots_tf import inference, models, program, progress, spelling
from roots_tf.corpus import text_chunks
from roots_tf.inference import parts, stored
from roots_tf.inference.vector_flags import VectorFlags
from roots_tf.storage import claims, files, inputs


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `embed`."""

    model: str = program.flag(
        help="model folder that pretrain, finetune or import wrote", role="input"
    )
    input: tuple[str, ...] = program.flag(help="files, folders or globs of texts", role="input")
    output: str = program.flag(help="file to write: .parquet or .npy", role="output_file")
    vectors: VectorFlags = program.group(VectorFlags(), "vectors")
    l2_normalize: bool | None = program.flag(
        None, help="scale each vector to length 1; not given: as the model folder says, or not"
    )
    text_field: str = program.flag("text", help="field of JSON lines, column of Parquet")
    encoding: str = program.flag(
        "utf-8",
        help="of plain text and JSON lines without a byte order mark: GB18030, Big5, Latin-1, ...",
    )
    max_seq_length: int = program.flag(
        0,
        help="tokens of a text at most; 0: as the folder says, or all the model takes",
        **program.TOKENS,
    )
    batch_size: int = program.flag(64, help="texts in a batch", **program.ROWS)
    precision: Literal["float32", "mixed_bfloat16"] = program.flag(
        "float32", help="what products are computed in; vectors are float32"
    )
    vector_type: stored.VectorType = program.flag(
        "float32",
        help="what is written; int8: times 127 over a vector's largest number; binary: signs, "
        "eight to a byte",
    )
    width: int = program.flag(
        0,
        help="numbers of a vector that are kept, the first ones, as --matryoshka_widths of "
        "finetune trains them; 0: all",
        minimum=0,
        maximum=1 << 20,
    )
    debug: bool = program.flag(False, help="the first 100 texts only")


@program.takes_urls
def main(config: Config) -> dict:
    """Writes the vectors and returns their number and size."""
    form = {".parquet": parts.Parquet, ".npy": parts.Npy}.get(Path(config.output).suffix)
    if form is None:
        raise files.InputError(
            "cannot-write",
            f"found --output={config.output}; wanted a .parquet or a .npy"
            f"{spelling.suggestion(Path(config.output).suffix, ('.parquet', '.npy'))}",
        )
    models.describe(config.model)
    inputs.check(config, "input")
    loaded = inference.load(config.model, config.precision)
    settings = loaded.embedding_settings.with_flags(
        *(config.vectors.pooling, config.l2_normalize),
        *(config.max_seq_length, config.vectors.prompt_name),
    )
    embed = loaded.embedder(settings, config.batch_size)
    logging.info("vectors of %s: %s, %d tokens at most", config.model, settings, embed.length)
    how = stored.Stored(config.vector_type, config.width, settings.l2_normalize)
    size = how.size(embed.hidden_dim)
    most = 100 if config.debug else 0
    chunks = text_chunks.text_chunks(config.input, config.text_field, config.encoding, most)
    # Of chunks of another size the parts would be other ones.
    claim = claims.of(config, texts_at_once=text_chunks.TEXTS_AT_ONCE)
    start = time.monotonic()
    shown = progress.track(chunks, "embed", None, "texts", len)
    form = form(size, how.dtype)
    count = parts.write(config.output, claim, form, shown, lambda texts: how(embed(texts)))
    logging.info("%d texts, %.0f a second", count, count / (time.monotonic() - start))
    return {"texts": count, "hidden_dim": config.width or embed.hidden_dim}


if __name__ == "__main__":
    program.run(main, Config)
