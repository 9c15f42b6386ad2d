"""Whether a device computes what the processor does, and how fast: the checks of `check-device`.

    results      what checks find, and the report that holds it
    checks       the table of checks: a row and a file each
    system       the accelerators that the machine shows, and why TensorFlow may see none
    checking     all of them in their order
    private      texts without names of people, machines and folders
    children     processes that make the checks, so that one that dies loses nothing else
    child        what such a process does

The processor is the reference: weights, batches and answers of each comparison are made on it
first, in a process that sees no accelerator. Only files that a child runs load TensorFlow.
"""
