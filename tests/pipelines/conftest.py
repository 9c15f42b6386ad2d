"""A small corpus of real text, and what the programs make of it."""

from types import SimpleNamespace

import pytest

from pipelines import build_examples, curate, pretrain, train_tokenizer
from roots_tf.corpus import docstrings


@pytest.fixture(scope="session")
def work(tmp_path_factory) -> SimpleNamespace:
    """Folders of documents, tokenizer, examples and a pretrained model, from docstrings."""
    root = tmp_path_factory.mktemp("work")
    folders = {
        name: str(root / name)
        for name in ("docstrings", "documents", "tokenizer", "examples", "pretrained")
    }
    sources = [f for f in docstrings.installed_files() if f.source == docstrings.STANDARD_LIBRARY]
    docstrings.write_docstrings(folders["docstrings"], sources=sources[:300])
    curate.main(
        curate.Config(input=(folders["docstrings"],), output=folders["documents"], num_workers=1)
    )
    train_tokenizer.main(
        train_tokenizer.Config(
            input=(folders["documents"],), output=folders["tokenizer"], vocab_size=1000
        )
    )
    build_examples.main(
        build_examples.Config(
            input=(folders["documents"],),
            tokenizer=folders["tokenizer"],
            output=folders["examples"],
            max_seq_length=32,
            held_out=0.05,
            num_workers=1,
        )
    )
    pretrain.main(
        pretrain.Config(examples=folders["examples"], output=folders["pretrained"], debug=True)
    )
    return SimpleNamespace(**folders, model=folders["pretrained"] + "/model")
