"""Flags of what fine-tuning learns, and of how texts become rows."""

import dataclasses
from typing import Literal

from roots_tf import program
from roots_tf.metrics import answer_words
from roots_tf.tasks import KINDS


@dataclasses.dataclass(frozen=True)
class TaskFlags:
    """What is learned, and how texts become rows."""

    task: Literal[tuple(KINDS)] = program.flag("classification", help="what is learned")
    columns: tuple[str, ...] = program.flag(
        (),
        help="names of columns that differ: text=sentence,label=gold; or their order: label,text",
    )
    encoding: str = program.flag(
        "utf-8", help="of text files without a byte order mark: GB18030, Big5, Latin-1, ..."
    )
    max_seq_length: int = program.flag(
        128, help="tokens of a row, [CLS] and [SEP] among them", **program.TOKENS
    )
    stride: int = program.flag(
        0,
        help="tokens between the starts of two windows of a long text; 0: classes and numbers "
        "come from the start of a text alone, tags and answers from windows that overlap by half",
        minimum=0,
        maximum=1 << 20,
    )
    balance: bool = program.flag(False, help="weigh classes so that each counts alike")
    soft_labels: bool = program.flag(
        False,
        help="classification: learn from the column `probabilities` of --train, as predict writes "
        "it, in place of label",
    )
    word_unit: Literal["auto", "characters"] = program.flag(
        "auto", help="of tags; characters: words of scripts without spaces are parted into them"
    )
    metric_language: answer_words.Language = program.flag("auto", help=answer_words.HELP)
    template: str = program.flag(
        "",
        help="completion: JSON file of what stands around each turn of a conversation; none: "
        "nothing around prompt and answer, `User:` and so on before messages. cloze: such as "
        "'{text} It was [MASK].', with {text_pair} for pairs; none: '{text} [MASK].'",
        role="input",
    )
    verbalizer: tuple[str, ...] = program.flag(
        (),
        help="cloze: words of each label, such as 'positive=great|good,negative=terrible'; none: "
        "labels are their own words",
    )
    calibrate: bool = program.flag(
        False, help="cloze: take off what the model says of labels where the text is empty"
    )

    num_shots: int = program.flag(
        0,
        help="cloze of a causal_lm: labelled examples of --train that stand before each text, "
        "drawn anew each seed, as many of each label as of any other; nothing is trained then",
        minimum=0,
        maximum=1000,
    )

    @property
    def template_is_text(self) -> bool:
        """Whether `template` is one itself, and not the path of a file."""
        return self.task == "cloze"
