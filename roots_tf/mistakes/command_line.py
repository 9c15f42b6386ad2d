"""Mistakes in what a command is told: its flags, and the words beside them."""

from roots_tf.mistakes.mistake import Mistake

MISTAKES = {
    "no-such-program": Mistake(
        "There is no program of that name",
        "`roots NAME` runs one of a fixed list of programs, and the name is none of them: `roots "
        "pretain` for `roots pretrain`.",
        "`roots` alone lists the programs with a line about each. Names may be written with - or "
        "_.",
    ),
    "no-such-topic": Mistake(
        "There is no help of that name",
        "`roots help` knows programs, flags, ids of mistakes, pages and recipes, and the name is "
        "none of them.",
        "`roots help` alone lists the topics; those of mistakes stand in brackets at the end of a "
        "message.",
    ),
    "no-such-flag": Mistake(
        "The program has no such flag",
        "A flag is misspelt, belongs to another program, or is of an older version: "
        "`--batchsize=32` for `--batch_size=32`.",
        "`roots NAME --help` shows the flags that a program has. Flags are written with two "
        "dashes and underscores, and their value behind an equals sign.",
    ),
    "stray-argument": Mistake(
        "A word stands beside the flags",
        "Programs take flags only. The shell makes several words of a pattern that is not quoted: "
        "`--input=novels/*.txt` may arrive as `--input=novels/a.txt novels/b.txt`; and a blank "
        "behind the equals sign parts a flag from its value.",
        "Put patterns and values that hold blanks in quotes: `--input='novels/*.txt'`. Take out "
        "the blank around the equals sign.",
    ),
    "missing-flag": Mistake(
        "A flag that is needed was not given",
        "Some flags have no default, and some are only complete together: `--size=custom` needs "
        "each of the sizes, `--evaluate_every` needs `--dev`.",
        "Give the flag that the line names. `--help` marks those that every command needs as "
        "required.",
    ),
    "flags-conflict": Mistake(
        "Two flags, or a flag and a model, exclude one another",
        "They say different things of one matter, or the flag has no effect here and would be "
        "ignored in silence: `--size=mini` beside `--init_from=MODEL`, which has sizes of its "
        "own; `--temperature=0.7` beside `--decoding=greedy`, which draws nothing.",
        "Leave out the one that was not meant. A command that is kept in a file or a script may "
        "hold flags of an earlier purpose.",
    ),
    "number-out-of-range": Mistake(
        "A number is beyond what makes sense",
        "Every number has bounds, so that a slip is seen before hours of work: "
        "`--learning_rate=5` for `5e-5`, `--mask_rate=15` for `0.15`. The ids of tokens are "
        "bounded by the vocabulary.",
        "The line names the bounds; `--help` shows those of each flag, and its default.",
    ),
    "no-such-choice": Mistake(
        "The value is none of those that there are",
        "A flag or a key that takes one of a few names was given another: `--objective=masked-lm` "
        "for `masked_lm`, `--size=medum` for `medium`.",
        "The line lists the names. They are written with small letters and underscores.",
    ),
    "wrong-value": Mistake(
        "A value cannot be read as what the flag takes",
        "A word stands where a number should, a duration has no unit that is known, or a list of "
        "settings is not written as it is read: `--duration='3 days'`, `--profile=100`, "
        "`--phases='max_seq_length 128'`.",
        "Write it as the line shows. Durations are steps, epochs or tokens: `10000`, `'3 "
        "epochs'`, `'1e9 tokens'`. Quote values that hold blanks.",
    ),
    "wrong-mixture": Mistake(
        "The sources of a mixture and their weights do not fit together",
        "Sources of a mixture are named, `zh=FOLDER,en=FOLDER`, and weights go by the same names. "
        "A source without a name, one without text, a file that two of them share, or a weight of "
        "an unknown name would change what is learned without a word.",
        "Name every source once, give all of them a weight or none, and leave out a source that "
        "is empty. Weights are relative: `zh=2,en=1` is two thirds and one third.",
    ),
    "output-over-input": Mistake(
        "What is written would replace what is read",
        "`--output` names an input, a folder in or above one, or the same place by way of a link: "
        "`--input=novels --output=novels/clean`, which the next run would read as its input.",
        "Keep what is made beside what it is made from, such as `work/documents` beside `novels`.",
    ),
}
