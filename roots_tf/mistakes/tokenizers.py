"""Mistakes in vocabularies and tokenizers."""

from roots_tf.mistakes.mistake import Mistake

MISTAKES = {
    "wrong-vocabulary": Mistake(
        "The tokenizer is not the one that model or examples were made with",
        "An id means another token in another vocabulary, and a model would read nonsense without "
        "a word. The sizes or the fingerprints differ: examples of one tokenizer and a model of "
        "another, a student and a teacher of two families.",
        "Take the tokenizer that lies in the folder of the examples or of the model. To train "
        "another model on your text, build the examples with that model's tokenizer.",
    ),
    "broken-vocabulary": Mistake(
        "The file of a vocabulary is not in order",
        "In `vocab.txt` every line is a token, and its number the id: a blank line, a token "
        "twice, spaces around one, Windows line ends or a byte-order mark shift or hide them. In "
        "`vocab.json` and `merges.txt` the ids go from 0 on and each merge has two tokens. In a "
        "list of new words each line is one word.",
        "Mend the line that is named, or take the file from its source again. Editors on Windows "
        "should save UTF-8 without BOM and with LF.",
    ),
    "vocabulary-too-small": Mistake(
        "The vocabulary has no room for the characters of the text",
        "Before any word, a vocabulary holds the characters, or all 256 bytes, and special "
        "tokens. Chinese text has thousands of characters: `--vocab_size=1000` cannot hold them.",
        "Raise `--vocab_size`: 8,000 to 32,000 are usual, 20,000 and more for Chinese. Or take a "
        "model of bytes.",
    ),
    "no-special-token": Mistake(
        "The tokenizer lacks a special token that is needed here",
        "Masked models need `[CLS]`, `[SEP]`, `[MASK]` and `[PAD]`; causal ones a begin and an "
        "end of text. A tokenizer of another family has others.",
        "Train one with `roots train-tokenizer`, which has all of them, or take a model of the "
        "other kind.",
    ),
    "unsupported-tokenizer": Mistake(
        "The tokenizer has a part that is not known here",
        "Tokenizers are WordPiece, BPE, Unigram or characters, with the steps before and behind "
        "that their usual models have. This one has another: it would cut texts otherwise than "
        "its model was trained with, so it is refused.",
        "`roots predict` and the other programs may take what a served graph or another library "
        "cannot: the line says where it fails. In transformers, `AutoTokenizer...save_pretrained` "
        "writes a `tokenizer.json`, which says the most.",
    ),
    "settings-disagree": Mistake(
        "Files of one folder contradict one another",
        "`tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json` and `config.json` "
        "say some things twice. They differ, so that it is not known which the model was trained "
        "with: lower case in one and not in the other.",
        "Correct the wrong one, by the model's card or paper. Some libraries read one file and "
        "some the other; check with a text that shows the difference.",
    ),
}
