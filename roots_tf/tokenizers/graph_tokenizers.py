"""The table from a kind of tokenizer to its class in the graph."""

from roots_tf.tokenizers import graph, graph_bpe, graph_characters, graph_unigram, graph_wordpiece

KINDS = {
    "wordpiece": graph_wordpiece.GraphWordpiece,
    "bpe": graph_bpe.GraphBpe,
    "unigram": graph_unigram.GraphUnigram,
    "character": graph_characters.GraphCharacters,
}


def build(tokenizer) -> graph.GraphTokenizer:
    """The graph tokenizer of a `Tokenizer`.

    Raises:
        InputError: the tokenizer has a part that has no counterpart in the graph.
    """
    return KINDS[tokenizer.kind](tokenizer)
