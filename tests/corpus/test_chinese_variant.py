import sys

import pytest

from roots_tf.corpus import chinese_variant
from roots_tf.corpus.chinese_variant import ChineseVariant
from roots_tf.corpus.documents import Document
from roots_tf.storage.files import InputError


def written(text, to, language=""):
    pytest.importorskip("opencc")
    measured = {}
    after = ChineseVariant(to)(Document(text, "", language), measured).text
    if len(after) == len(text):
        assert measured["letters_converted"] == sum(map(str.__ne__, text, after))
    return after


@pytest.mark.parametrize(
    ("text", "to", "expected"),
    [
        ("漢語的鼠標與皇后", "simplified", "汉语的鼠标与皇后"),
        ("汉语的头发与发展", "traditional", "漢語的頭髮與發展"),
        ("这里有软件", "taiwan", "這裡有軟件"),
        ("这里有软件", "taiwan_words", "這裡有軟體"),
        ("这里有面条", "hong_kong", "這裏有麪條"),
        ("皇后的漢語", "traditional", "皇后的漢語"),  # as it is: in traditional letters already
        (
            "二〇〇八年八月八日，１２３，三千五百",
            "traditional",
            "二〇〇八年八月八日，１２３，三千五百",
        ),
        ("BERT 2018, no Han", "traditional", "BERT 2018, no Han"),
        ("国語の発音を学ぶ", "traditional", "国語の発音を学ぶ"),  # Japanese
    ],
)
def test_variants(text, to, expected):
    assert written(text, to) == expected


def test_other_languages_are_left_alone():
    assert written("国会", "traditional", "ja") == "国会"
    assert written("国会", "traditional", "zh") == "國會"


def test_there_and_back(data):
    text = (data / "udhr" / "cmn_hans.txt").read_text("utf-8-sig")
    assert written(written(text, "traditional"), "simplified") == text


def test_a_mistake_is_told(monkeypatch):
    pytest.importorskip("opencc")
    with pytest.raises(InputError, match="found to = 'mars' .*wanted one of .*, taiwan, "):
        ChineseVariant("mars")
    monkeypatch.setitem(sys.modules, "opencc", None)
    chinese_variant._converter.cache_clear()
    with pytest.raises(InputError, match=r"found no opencc.*pip install 'roots-tf\[chinese\]'"):
        ChineseVariant()
    monkeypatch.undo()
    chinese_variant._converter.cache_clear()
