"""Merge an adapter with its base: the whole model again, which every other program reads.

    roots merge --adapter=work/light/adapter --base=work/bert_base --output=work/whole

Takes seconds and the memory of three models. An adapter is what `finetune --tune=lora` or
`--tune=bias` has trained; its base is the model folder that was `--init_from` there, which
`adapter.json` names by checksums: another one is refused. The folder that is written is that of
`model/` beside the adapter, to the byte, so that of many tasks over one base only the adapters need
be kept.
"""

import dataclasses
from pathlib import Path

from absl import logging

from roots_tf import models, program, tokenizers
from roots_tf.storage import claims, files, inputs


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `merge`."""

    adapter: str = program.flag(help="adapter folder that finetune wrote", role="input")
    base: str = program.flag(
        help="model folder that finetune started from, its --init_from", role="input"
    )
    output: str = program.flag(help="folder of the model", role="output_folder")
    debug: bool = program.flag(False, help="tell whether the two go together; nothing is written")


@program.takes_urls
def main(config: Config) -> dict:
    """Writes the whole model and returns the report."""
    inputs.check(config, "adapter", "base")
    adapter = models.Adapter(config.adapter)
    models.describe(config.base)
    adapter.check_base(config.base)
    claim, output = claims.of(config), Path(config.output)
    if report := claim.finished(output):
        logging.info("%s has its model already; nothing to do", output)
        return report
    model = models.merged(adapter, config.base)
    numbers = sum(value.size for value in adapter.weights().values())
    report = {"tune": adapter.tuning.name, "learned": numbers, "weights": model.count_params()}
    if config.debug:
        return report
    with claim.held(output):
        claim.begin(output)
        tokenizers.load(config.base).save(output)
        models.write(output, adapter.description, models.arrays(model))
        files.write_json(output / "report.json", report)
    logging.info("%s: a model of %d numbers", output, report["weights"])
    return report


if __name__ == "__main__":
    program.run(main, Config)
