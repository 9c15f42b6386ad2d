"""Mistakes in texts, recipes, labelled rows and examples."""

from roots_tf.mistakes.mistake import Mistake

MISTAKES = {
    "wrong-recipe": Mistake(
        "The recipe of curate cannot be read or followed",
        "A recipe is the name of one that comes along or a TOML file of `[[steps]]`. The name is "
        "misspelt, the file is no TOML, the steps stand in an order that cannot be followed, or a "
        "parameter is not one of its step.",
        "Copy a recipe that comes along and change a line at a time; `docs/curate.md` lists the "
        "steps and their parameters.",
    ),
    "wrong-index": Mistake(
        "The index of an earlier curation cannot be used",
        "`--against` names the output of an earlier run of curate with `--keep_index`. The "
        "folder is another one, that run had no such flag or is not finished, its near duplicates "
        "were hashed by other parameters, another version wrote it, or a file of it has changed.",
        "Run the earlier curation anew, with `--keep_index` and with the `ngram`, `bands`, `rows` "
        "and `seed` of `near_duplicates` that the later one has.",
    ),
    "no-such-step": Mistake(
        "A recipe names a step that there is not",
        'The `name` of a step is misspelt: `name = "near_duplicate"` for `near_duplicates`.',
        "`docs/curate.md` lists the steps and what each does. A step of your own is a line in the "
        "code.",
    ),
    "nothing-kept": Mistake(
        "Curation dropped every document",
        "A rule of the recipe fits no document here: a language other than those it keeps, lines "
        "that are taken for documents and are all too short, a minimum of words for a language "
        "without spaces.",
        "The line says which steps dropped them. Run it with `--keep_dropped` and look at "
        "`_dropped/`; choose `--documents` so that a document is what you take for one; loosen "
        "the rule in a copy of the recipe.",
    ),
    "no-such-column": Mistake(
        "A file has no column of that name",
        "The columns of a table go by the names in its first line, or by the keys of its JSON; "
        "they are called otherwise there: `sentence` and `gold` for `text` and `label`.",
        "Say what the file calls them: `--columns=text=sentence,label=gold`; or rename them. A "
        "file without a line of names takes the order of its columns: `--columns=label,text`.",
    ),
    "wrong-row": Mistake(
        "A row of a labelled file is not like the others",
        "A field is missing or too many, a cell is empty or of another type, an answer is not in "
        "its text: a tab or a comma inside a text that has no quotes, a line that was broken.",
        "The line names file and row. Mend it there; programs that write CSV put quotes around "
        "texts with commas, and JSON lines need no such care.",
    ),
    "no-such-label": Mistake(
        "A label is none of those that the model learns or knows",
        "The labels are those of the training file, or of the model. A dev or test file has one "
        "more: a misspelling, another case, a blank at its end: `postive`, `Positive` for "
        "`positive`.",
        "Mend the label in the file. A label that is really new belongs into the training file "
        "too.",
    ),
    "too-few-labels": Mistake(
        "All rows have the same label or value",
        "There is nothing to tell apart: the wrong column is taken for the label, or the file is "
        "sorted and was cut.",
        "Look at the column of the label; say which it is with `--columns`. Shuffle before you "
        "cut.",
    ),
    "too-few-examples": Mistake(
        "A label has fewer examples than are asked for",
        "Examples in a prompt are drawn evenly over the labels, and the training file has too few "
        "of one of them.",
        "Ask for fewer with `--num_shots`, or add rows of that label to the file.",
    ),
    "named-twice": Mistake(
        "A name stands twice where each may stand once",
        "Two columns, labels, tokens, questions or weights have one name, and one of them would "
        "be lost in silence.",
        "Rename or remove one of the two; `sort FILE | uniq -d` finds lines that stand twice.",
    ),
    "wrong-conversation": Mistake(
        "A conversation, or the template that writes it, is not in order",
        "Messages have a role and a content each; user and assistant take turns, a system's "
        "message stands first, and the last is the assistant's, or for `roots generate` the "
        "user's. A template has a part for each role, with special tokens that the tokenizer has.",
        "Mend the row that the line names; `docs/generate.md` shows conversations and templates.",
    ),
    "wrong-template": Mistake(
        "The template of a cloze, or its label words, are not in order",
        "A template has `{text}` and one `[MASK]`, for pairs also `{text_pair}`. Every label has "
        "words of its own that the vocabulary can write, such as `positive=great|good`.",
        "Write the template or the words as the line shows; `docs/prompts.md` has examples.",
    ),
    "not-parallel": Mistake(
        "Parallel texts do not go together line by line",
        "Line 12 of one file must be the translation of line 12 of the other. One of them has a "
        "line more, or a file lacks its partner.",
        "`wc -l` counts the lines of both; an empty line inside one of them often shows where "
        "they part. JSON lines with `source` and `target` cannot slip.",
    ),
    "wrong-layout": Mistake(
        "The examples are built for another objective",
        "Rows are laid out when they are built: sentence pairs of `bert`, or `contiguous` text "
        "for causal models and span objectives.",
        "Build them again with the `--layout` that the line gives; documents and tokenizer stay "
        "the same.",
    ),
    "no-sentence-pairs": Mistake(
        "The documents are too few or too short for sentence pairs",
        "A pair takes two sentences of a document, and a wrong second one comes from another "
        "document. A single text, or one sentence a document, gives none.",
        "With `roots curate --documents=` choose larger documents, add text, or train without "
        "pairs: `--sentence_objective=none`.",
    ),
    "too-long": Mistake(
        "A text is longer than the model or the program takes",
        "A model has a window of positions, and what is asked of it must fit: a prompt leaves "
        "room for a new token, a word of a vocabulary has a limit of characters.",
        "Shorten the text or cut it into pieces, or take a model of a longer window: `roots "
        "score` and `roots evaluate` go over long texts in windows of themselves.",
    ),
    "too-short": Mistake(
        "Rows have too few tokens for what they are to hold",
        "Special tokens, a question or a pair take their place before any text does: "
        "`--max_seq_length=8` for questions of twelve tokens.",
        "Give a higher `--max_seq_length`; attention costs more with it, memory too.",
    ),
    "wrong-window": Mistake(
        "Window and stride do not fit together, or not to the model",
        "Long texts are read in windows, each a stride further. A stride larger than the window "
        "leaves tokens that nobody sees, and a window larger than the model's positions cannot be "
        "read.",
        "Leave both out for what suits the model, or take half the window as stride.",
    ),
    "empty-text": Mistake(
        "A text is empty, or nothing is left of it",
        "A prompt or a line is empty, or consists of what the tokenizer drops, such as blanks and "
        "control characters.",
        "Give a text of at least a word; remove empty lines with `sed -i '/^\\s*$/d' FILE`.",
    ),
    "no-mask": Mistake(
        "The text has no [MASK] to fill",
        "`roots fill-mask` fills the places that hold `[MASK]`, in capitals and brackets, and "
        "sees only as many tokens as the model has positions.",
        'Write it into the text: `--text="Paris is the [MASK] of France."`. Shorten a text whose '
        "mask comes late.",
    ),
}
