"""Mistakes in folders that programs here write and read, and in the runs in them."""

from roots_tf.mistakes.mistake import Mistake

MISTAKES = {
    "folder-in-use": Mistake(
        "Another process is at work in the folder",
        "A folder is written by one process at a time. The first command still runs, in another "
        "terminal, in the background or on another machine.",
        "Wait, or stop it: it saves its state and the same command goes on from there. The lock "
        "goes with its process, so nothing has to be removed by hand.",
    ),
    "folder-taken": Mistake(
        "The output folder holds something else already",
        "What stands there would be mixed with what is written or lost: the output of another "
        "program, files of your own, an earlier export of the same version.",
        "Choose a new folder, or remove the old one if it is not needed.",
    ),
    "other-run": Mistake(
        "The output folder holds a run of other flags",
        "A command that is run again goes on with what it began. With other flags it would be "
        "another run: `--learning_rate=1e-4` where the run began with `5e-4`. The line names the "
        "flags that differ.",
        "Give the flags of that run, which `config.json` in the folder holds, or choose another "
        "`--output` for a new one. Flags that change nothing in the result, such as "
        "`--log_every`, may differ.",
    ),
    "inputs-changed": Mistake(
        "The run in the folder began with other input",
        "Files that it reads have changed since: a text was added, the examples were built again, "
        "another model stands under the same name.",
        "Put back what was there, or choose another `--output` and begin afresh.",
    ),
    "other-version": Mistake(
        "The folder was written by another version",
        "Its format or its flags are not those of this version: examples of an early build, a run "
        "that an older version began, a model of a newer one.",
        "Finish the run with the version that began it, or build the folder again. CHANGELOG.md "
        "says what each version reads. `pip install roots-tf==VERSION` brings one back.",
    ),
    "run-finished": Mistake(
        "The run has got as far as it was told to",
        "The checkpoint in the output folder is beyond the end that the flags give.",
        "Give a longer `--duration` to train on, or another `--output` for a new run.",
    ),
    "wrong-folder": Mistake(
        "The folder is not of the kind that is wanted here",
        "Each program reads what an earlier one wrote: `roots build-examples` the documents of "
        "`roots curate`, `roots doctor` the output of `roots pretrain`, `roots serve` what `roots "
        "export` wrote. Another folder was named, or one level too high or too low.",
        "The usual order is curate, train-tokenizer, build-examples, pretrain, finetune, export, "
        "serve. Name the folder that the program's `--output` named.",
    ),
    "not-examples": Mistake(
        "The folder holds no finished examples",
        "`--examples` wants a folder with the `manifest.json` that `roots build-examples` writes "
        "when it ends. The build was stopped, or the folder holds documents or a model.",
        "Run the build again: it goes on where it was. The folder is the one that its `--output` "
        "named, not one of its shards.",
    ),
    "not-a-model": Mistake(
        "The folder holds no model",
        "A model folder has a `model.json`. Training writes it as `model` in its output folder "
        "when it ends: `--model=work/pretrained` for `work/pretrained/model`. A folder of another "
        "library has none.",
        "Name the `model` folder. A run that was stopped has checkpoints only: run its command "
        "again until it ends. `roots import` makes a model folder of one from Hugging Face, "
        "google-research/bert or keras-hub.",
    ),
    "not-a-tokenizer": Mistake(
        "No tokenizer stands there",
        "A tokenizer is a folder that `roots train-tokenizer` wrote, a folder of examples or of a "
        "model, or a file: `tokenizer.json`, `vocab.txt`, `vocab.json` with `merges.txt`, or a "
        "SentencePiece `.model`.",
        "Name one of these. The tokenizer of a model lies beside its weights.",
    ),
}
