"""Mistakes and mishaps of stores behind URLs."""

from roots_tf.mistakes.mistake import Mistake

MISTAKES = {
    "store-refused": Mistake(
        "A store does not let the program in",
        "There are no credentials, they have expired or belong to somebody else, their policy "
        "allows reading and not writing, or the clock of this machine is wrong by more than "
        "fifteen minutes, after which a signature no longer counts.",
        "Try the same URL with the store's own tool on the same machine: `aws s3 ls s3://bucket/`, "
        "`gcloud storage ls gs://bucket/`, `hf auth whoami`. docs/stores.md lists the environment "
        "variables that are read. A bucket that is open to everybody takes "
        "`FSSPEC_S3_ANON=true`.",
    ),
    "store-unreachable": Mistake(
        "A store does not answer",
        "The network is down, a proxy or firewall is between, the address in `AWS_ENDPOINT_URL` or "
        "`HF_ENDPOINT` is wrong, or the store is overloaded: it was asked several times, with "
        "growing waits.",
        "Once the network is back run the same command again: what was finished is kept. `curl -I` "
        "of the store's address shows whether it answers.",
    ),
}
