"""Mistakes and mishaps on the way to a hub and back: names, access, the network."""

from roots_tf.mistakes.mistake import Mistake

MISTAKES = {
    "not-on-hub": Mistake(
        "The hub has nothing of that name",
        "The repository, the revision or the preset is misspelt, was renamed or taken away; or it "
        "is private, of which a hub does not say that it is there. "
        "`--from=bert-base-uncasd`, `--revision=v2` where there is no such tag.",
        "Look it up on the hub's pages and copy the name from there. Of a private one, "
        "`hf auth login` or `HF_TOKEN` says who you are.",
    ),
    "hub-refuses": Mistake(
        "The hub does not let you do that",
        "A gated model wants its terms accepted by your account, a private one wants a token, and "
        "to write takes a token that may write in that name: none is there, it has expired, or it "
        "is for reading only.",
        "Accept the terms on the model's page, make a token on the settings page of the hub, and "
        "give it by `hf auth login` or in `HF_TOKEN`. Tokens stand in no message and no file here.",
    ),
    "hub-unreachable": Mistake(
        "The hub cannot be reached, and the cache lacks what is wanted",
        "There is no network, `HF_HUB_OFFLINE` is set, a proxy or `HF_ENDPOINT` leads elsewhere, "
        "or the hub is down or broke the connection several times.",
        "What was fetched once is read from the cache without a network. Run the same command "
        "where there is one, then copy the cache (`HF_HOME`, by default ~/.cache/huggingface; "
        "`KAGGLEHUB_CACHE`) to the machine without. Whole files that were fetched are kept.",
    ),
}
