"""One program a file; see `roots`."""

import os

# Read when TensorFlow is imported, which comes after this. Its C++ logs report a missing GPU as an
# error; what goes wrong in an op reaches Python as an exception anyway.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
