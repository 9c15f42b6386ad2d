"""Mistakes in single files: not there, not readable, not what they should be."""

from roots_tf.mistakes.mistake import Mistake

MISTAKES = {
    "no-such-file": Mistake(
        "A file or folder is not there",
        "Nothing has the name, or nothing matches the pattern: it is misspelt, the command runs "
        "in another folder than the name counts from, or a file that belongs to others was not "
        "copied with them. `--input='novel/*.txt'` where the folder is called `novels`.",
        "`ls` shows what is there, and `pwd` from where names are counted. In quotes the program "
        "reads the pattern, and `~` stands for the home folder. Commas part several names.",
    ),
    "unreadable-file": Mistake(
        "A file is there and cannot be read",
        "The system refuses it: no permission, a link that leads nowhere, a folder or a device "
        "where a file should be, a disk that fails.",
        "`ls -l` shows owner and permissions; `chmod u+r FILE` or a copy mends most. A link that "
        "leads nowhere is found by `find FOLDER -xtype l`.",
    ),
    "cannot-write": Mistake(
        "The output cannot be written",
        "The folder belongs to somebody else or is on a read-only disk, a file stands where a "
        "folder is to be made, or the name given to `--output` is empty or ends in a way that "
        "says another kind of file: `--output=vectors.txt` of `roots embed`.",
        "Choose a folder of your own. Nothing is left half-written under the final name, so the "
        "same command can be run again.",
    ),
    "no-room": Mistake(
        "The disk is full",
        "The disk, or what a quota or `ulimit -f` leaves of it, has no room for what is being "
        "written. Checkpoints take three times the weights.",
        "`df -h FOLDER` and `quota -s` show what is left. Make room and run the same command "
        "again: what was finished is kept, and a run goes on from its last checkpoint.",
    ),
    "file-damaged": Mistake(
        "A file is not as it was written",
        "It breaks off, its checksum is another, or parts that belong together come from "
        "different copies: a download that was cut short, a copy that was interrupted, a shard of "
        "another build, a hand that edited `model.json` or the weights.",
        "Copy the file again from where it was whole, all files of the folder if in doubt, or "
        "have the program that wrote it write it again. Compare `sha256sum` on both machines.",
    ),
    "file-too-large": Mistake(
        "A file is larger than can be meant, or than memory holds",
        "A file of another kind has the name, a compressed file grows hundredfold, as those made "
        "to fill a disk do, or a labelled file takes more memory than is free.",
        "Make sure that the right file is named. Divide a file that is really so large: labelled "
        "files are held in memory, texts for `roots curate` are not.",
    ),
    "not-text": Mistake(
        "The bytes of a file are not the text that they should be",
        "The file has another encoding than UTF-8, as older Chinese (GB18030, Big5) or Western "
        "(Windows-1252) texts do, or it is no text at all: a PDF, a Word document, an image. Or "
        "`--encoding` names an encoding that there is not, or that this file does not have.",
        "Where the line guesses the encoding, add it: `--encoding=GB18030`. `iconv -f GB18030 -t "
        "UTF-8 OLD > NEW` converts a file. Take text out of PDFs and Word documents first.",
    ),
    "not-json": Mistake(
        "A file that should hold JSON does not",
        "It was cut short, edited by hand with a comma too many, or is something else by that "
        "name. JSON lines hold one object a line, without commas between them.",
        "`python -m json.tool FILE` shows where it ends to be JSON. What a program wrote, let it "
        "write again.",
    ),
    "wrong-json": Mistake(
        "A JSON file lacks a key, or has one or a value that it should not",
        "A file of settings was edited by hand, comes from another program or version, or a key "
        'is misspelt: `"hiden_dim"` for `"hidden_dim"`, `"labels": 3` where a list is wanted.',
        "Correct what the line names. Files that programs here write need no editing: what can be "
        "chosen is a flag.",
    ),
    "wrong-format": Mistake(
        "A file is of another kind than its name or its place says",
        "A suffix promises what the content does not keep: a web page saved as `.warc`, a text "
        "named `.xml`, a checkpoint of pickled weights where safetensors are wanted.",
        "`file NAME` tells what it is. Give it the suffix of what it is, convert it, or leave it "
        "out.",
    ),
    "unknown-suffix": Mistake(
        "The suffix of a file says nothing that is known",
        "How a file is read follows from its suffix: `.tsv`, `.csv`, `.jsonl`, `.parquet`, `.txt` "
        "and others, each also compressed (`.gz`). `train.tvs` or `train.xlsx` has none of them.",
        "Rename a file whose suffix is misspelt. Save a spreadsheet as CSV in UTF-8.",
    ),
    "empty-input": Mistake(
        "The input holds nothing to work on",
        "Every file is empty, or has no row, sentence, question or text: the wrong files are "
        "named, an earlier step wrote nothing, or a labelled file has a line of names only.",
        "`wc FILE` counts lines and bytes. Look at the report of the program that wrote the "
        "input: it says what was kept and why the rest was dropped.",
    ),
}
