"""ROOTS-TF: pretrain BERT-style encoders on your own text with TensorFlow and Keras 3."""

import os

__version__ = "0.3.0"

# Keras reads this when it is first imported; the models here are built on tf.function steps.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
