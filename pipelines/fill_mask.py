"""Show what a pretrained model believes stands at each [MASK] of a text.

    roots fill-mask --model=work/pretrained/model --text="The captain looked at the [MASK]."

Takes seconds. Prints the likeliest pieces for each [MASK] with their probabilities; several texts
are parted by newlines, or read from standard input.
"""

import dataclasses
import json
import sys

from roots_tf import inference, models, program, tokenizers


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `fill-mask`."""

    model: str = program.flag(help="model folder that pretrain wrote", role="input")
    text: str = program.flag("", help="a text with [MASK] on each line; none: standard input")
    top: int = program.flag(5, help="pieces to show for each [MASK]", minimum=1, maximum=1_000_000)
    json: bool = program.flag(False, help="print JSON lines instead of a table")
    debug: bool = program.flag(False, help="the first text only")


@program.takes_urls
def main(config: Config) -> list[dict]:
    """Prints and returns, for each text, the likeliest pieces of each [MASK]."""
    tokenizer = tokenizers.load(config.model)
    inference.check_fills(models.describe(config.model), config.model)
    model = models.load(config.model)
    texts = [line for line in (config.text or sys.stdin.read()).splitlines() if line.strip()]
    answers = [
        inference.fill(text, model, tokenizer, config.top)
        for text in texts[: 1 if config.debug else None]
    ]
    for answer in answers:
        if config.json:
            print(json.dumps(answer, ensure_ascii=False))
            continue
        print(answer["text"])
        for pieces in answer["masks"]:
            print("    " + "  ".join(f"{p['piece']} {p['probability']:.3f}" for p in pieces))
    return answers


if __name__ == "__main__":
    program.run(main, Config)
