"""What looks wrong in a training run, in words: `doctor`'s knowledge, by objective.

    findings            what is known of a run, and what can be found in it
    learning_symptoms   of every training: rates, gradients, skipped steps
    data_symptoms       of every training: padding, unknown tokens, waiting for batches
    word_symptoms       of words that are masked as a whole
    causal_lm           of the causal language model alone
    masked_lm           of masked words and sentence pairs alone
    diagnosis           the table from objective to symptoms, and `diagnose`

A new objective adds a file beside `masked_lm` and a row of `diagnosis.BY_OBJECTIVE`.
"""
