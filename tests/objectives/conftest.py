"""The examples of the other folder, under their own names."""

from tests.examples import conftest

texts, documents = conftest.texts, conftest.documents
vocabulary, built, contiguous = conftest.vocabulary, conftest.built, conftest.contiguous
