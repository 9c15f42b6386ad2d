"""Mistakes in models: their kind, their sizes, their weights, their way to other libraries."""

from roots_tf.mistakes.mistake import Mistake

MISTAKES = {
    "wrong-model-kind": Mistake(
        "The model is not of the kind that does this",
        "A masked model fills gaps, a causal one continues texts, and one that was fine-tuned has "
        "a task: `roots generate` with a masked model, `roots fill-mask` with a classifier, "
        "`roots predict` with a model that was only pretrained.",
        "`model.json` in the model folder names its `kind`, and its task if it has one. Take the "
        "program that the line names, or another model.",
    ),
    "wrong-sizes": Mistake(
        "The sizes of a model do not fit together",
        "Heads divide the hidden size evenly; a student's layers divide its teacher's; rotary "
        "positions turn pairs of numbers.",
        "Change one of the two numbers that the line names; `--size=tiny`, `mini`, `small`, "
        "`medium` and `base` fit by themselves.",
    ),
    "wrong-weights": Mistake(
        "The weights are not those of the model that the settings describe",
        "A weight is missing, of another shape or type, or one too many: files of two models in "
        "one folder, a `config.json` that was edited, a checkpoint of other flags.",
        "Copy settings and weights again from one place. For a run of your own, give the flags "
        "that it began with.",
    ),
    "wrong-base": Mistake(
        "The adapter was trained on another model",
        "An adapter holds small changes to one model, and means nothing on another, nor on the "
        "same model after more training or with another tokenizer. It names its base by checksums "
        "of the weights and the tokenizer.",
        "Give the model folder that `roots finetune` had as `--init_from`; `config.json` of that "
        "run says where it was.",
    ),
    "diverged": Mistake(
        "Training diverged: numbers are no longer finite",
        "The loss or the gradients have become NaN or infinite for many steps: the learning rate "
        "is too high, the warm-up too short, or half precision overflows.",
        "Begin again with a third of the learning rate and a longer warm-up, or with "
        "`--precision=float32`. Checkpoints up to the last good one are kept; `roots doctor` "
        "shows when it began.",
    ),
    "unsupported-model": Mistake(
        "The model has a part that models here do not have",
        "Architectures are taken in that can be computed exactly: another activation, stretched "
        "positions, quantised weights or a head of its own would give other answers than the "
        "model gives elsewhere, so they are refused.",
        "Look for a checkpoint of the same model in floats and with the plain architecture. The "
        "page on interoperation lists what is read.",
    ),
    "cannot-export": Mistake(
        "The target format has no place for something in this model",
        "A format of another library holds less: keras-hub's embedder has no pooler, its "
        "tokenizers have fixed special tokens, a LiteRT file holds no loop over tokens.",
        "Choose another `--format`; the line says which part is in the way, and sometimes a flag "
        "that leaves it out.",
    ),
    "export-differs": Mistake(
        "The exported model answers otherwise than the model",
        "Every export is loaded again and asked the same texts, and its answers did not agree. "
        "Nothing was written. Quantised formats differ most.",
        "Export without quantisation or with a finer one, or in another format. If it happens "
        "without either, please report it with `roots version`.",
    ),
}
