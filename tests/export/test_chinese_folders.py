"""Chinese BERTs of others: ids, hidden states and answers as transformers has them."""

import importlib
import json

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from pipelines import export
from roots_tf import inference, models, tokenizers
from roots_tf.storage.files import InputError
from tests.export import bert_tensorflow1
from tests.export.conftest import SIZES, features_of, random_features
from tests.export.numpy_bert import NumpyBert

import_checkpoint = importlib.import_module("pipelines.import")

SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
HAN = "国家主席今天在北京会见了克林顿很好这是书臺灣龍門體育中的一人不大我他有𠮷㐂々〇"
WORDS = ["bert", "covid", "##19", "100", "##é", "cafe", "café", "Bert", "ａ"]
# In the order of Google's file: [PAD], a hundred [unused], the special tokens, <S> and <T>.
VOCABULARY = [
    "[PAD]",
    *(f"[unused{i}]" for i in range(1, 100)),
    *SPECIAL,
    *("<S>", "<T>"),
    *"!\"#$%&'()*+,-./:;<=>?@[]{}，。！？：；、（）《》「」『』“”‘’…—～·￥％＃",
    *"0123456789abcdefghijklmnopqrstuvwxyzABCTカナひらกา",
    *dict.fromkeys(HAN),
    *(f"##{c}" for c in dict.fromkeys(HAN + "abcdefghijklmnopqrstuvwxyz0123456789")),
    *WORDS,
    *("##カナ", "😀", "①", "½", "㎡", "##㎡"),
]
TEXTS = [
    "国家主席今天在北京会见了克林顿。",
    "这是一本很好的書，“中国人”不大！",
    "臺灣的體育、龍門",
    "ＢＥＲＴ全角１００％，ｃａｆé Café CAFÉ cafe\u0301",
    "生僻字𠮷㐂𪚥与〇々，㍿ 神 豈更 ⼈⼀ ㄅㄆ",  # planes 2 and 3, compatibility, radicals
    "我😀他👨‍👩‍👧‍👦有☕️中🇨🇳国",
    "「一」『大』《书》……——～·",
    "北京\u3000国家\u200b主席\ufeff今天\x00\x0b在\u2028京\t人\r\n好\u00a0的",
    "bert在covid19中的①½㎡100%",
    "カナひらがな カタカナ ｶﾅ กา한국어",
    "[MASK]国[CLS]的[unused1]<S>人[mask]",
    "",
    "e\u0301ｅ\u0301国\u0301々",
    "一" * 300,
    "ab" * 80 + "国",
]
FIELDS = {"directionality": "bidi", "pooler_fc_size": 768, "pooler_num_attention_heads": 12,
    "pooler_num_fc_layers": 3, "pooler_size_per_head": 128, "pooler_type": "first_token_transform",
    "output_past": True}  # fmt: skip
TOKENIZER = {
    "wwm": {"tokenizer_config.json": {"init_inputs": []}, "added_tokens.json": {},
        "special_tokens_map.json": {f"{n}_token": f"[{n.upper()}]"
            for n in ("unk", "sep", "pad", "cls", "mask")}},
    "macbert": {"tokenizer_config.json": {"tokenizer_class": "BertTokenizer",
        "do_lower_case": True, "tokenize_chinese_chars": True, "model_max_length": 512}},
    "cased": {"tokenizer_config.json": {"do_lower_case": False, "strip_accents": None}},
    "words": {"tokenizer_config.json": {"do_lower_case": True, "tokenize_chinese_chars": False}},
    "added": {"tokenizer_config.json": {"do_lower_case": True},
        "added_tokens.json": {"[药]": len(VOCABULARY), "北京大": len(VOCABULARY) + 1}},
}  # fmt: skip


def write(folder, name, architecture="BertForMaskedLM", old=True, **fields):
    """A folder as it lies on Hugging Face, of small random weights under their old names."""
    files = TOKENIZER[name]
    size = len(VOCABULARY) + len(files.get("added_tokens.json", ()))
    sizes = SIZES | {"vocab_size": size, "max_position_embeddings": 40} | FIELDS | fields
    NumpyBert(architecture, **sizes).save(folder)
    path = folder / "model.safetensors"
    stored = safetensors.numpy.load_file(path)
    if old:
        stored = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): array
            for name, array in stored.items()
        }
        stored["bert.embeddings.position_ids"] = np.arange(40)[None]
    safetensors.numpy.save_file(stored, path, {"format": "pt"})
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in VOCABULARY), "utf-8")
    for other, content in files.items():
        (folder / other).write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    return folder


def take_in(folder, output):
    return import_checkpoint.main(import_checkpoint.Config(from_=str(folder), output=str(output)))


def assert_same_ids(ours, theirs):
    for text in TEXTS:
        wanted = theirs(text, add_special_tokens=False)["input_ids"]
        assert ours.encode([text])[0].tolist() == wanted, text
        assert ours.encode_with_offsets([text]).ids.tolist() == wanted, text


@pytest.mark.parametrize("name", TOKENIZER)
def test_ids_are_those_of_transformers_in_and_out(tmp_path, name):
    transformers = pytest.importorskip("transformers")
    folder = write(tmp_path / "theirs", name)
    theirs = transformers.BertTokenizer.from_pretrained(folder)
    take_in(folder, tmp_path / "ours")
    assert_same_ids(tokenizers.load(tmp_path / "ours"), theirs)
    export.main(
        export.Config(
            model=str(tmp_path / "ours"), output=str(tmp_path / "out"), format="huggingface"
        )
    )
    assert_same_ids(
        tokenizers.load(tmp_path / "ours"),
        transformers.AutoTokenizer.from_pretrained(tmp_path / "out"),
    )
    ids, splits = tokenizers.load(folder).encode(TEXTS)
    graph = tokenizers.load(folder).graph().tokenize(tf.constant(TEXTS))
    assert graph.flat_values.numpy().tolist() == ids.tolist()
    assert graph.row_splits.numpy().tolist() == splits.tolist()


@pytest.mark.parametrize("name", ["wwm", "macbert"])
def test_hidden_states_and_answers_are_those_of_transformers(tmp_path, name):
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    # Old names are understood by transformers up to 4; by 5 those of BERT are, too.
    folder = write(tmp_path / "theirs", name)
    plain = write(tmp_path / "plain", name, old=False)
    theirs = transformers.BertForMaskedLM.from_pretrained(plain).eval()
    words = transformers.BertTokenizer.from_pretrained(plain)
    take_in(folder, tmp_path / "ours")
    ours, tokenizer = models.load(tmp_path / "ours"), tokenizers.load(tmp_path / "ours")
    texts = ["国家主席[MASK]天在北京", "这是很[MASK]的书。", "臺灣的[MASK]育"]
    inputs = words(texts, padding=True, return_tensors="pt")
    features = features_of(texts, tokenizer, 40)
    with torch.no_grad():
        found = theirs(**inputs, output_hidden_states=True)
    inside = inputs["attention_mask"].numpy().astype(bool)
    np.testing.assert_array_equal(features["token_ids"].numpy()[:, : inside.shape[1]][inside],
        inputs["input_ids"].numpy()[inside])  # fmt: skip
    np.testing.assert_allclose(
        ours.encoder(features).numpy()[:, : inside.shape[1]][inside],
        found.hidden_states[-1].numpy()[inside],
        atol=1e-5,
    )
    for row, text in enumerate(texts):
        place = inputs["input_ids"][row].tolist().index(words.mask_token_id)
        best = found.logits[row, place].argsort(descending=True)[:5].tolist()
        [answers] = inference.fill(text, ours, tokenizer, 5)["masks"]
        assert [answer["piece"] for answer in answers] == [VOCABULARY[i] for i in best]


@pytest.mark.parametrize("architecture", ["RobertaForMaskedLM", "MacBertForMaskedLM", None])
def test_other_names_of_a_bert_do_not_matter(tmp_path, architecture):
    folder = write(tmp_path / "theirs", "wwm")
    path = folder / "config.json"
    config = json.loads(path.read_text()) | {"architectures": architecture and [architecture]}
    path.write_text(json.dumps(config))
    described = take_in(folder, tmp_path / "ours")
    assert described["kind"] == "pretrainer"
    assert described["untrained"] == ["next_sentence", "pooler"]


@pytest.mark.parametrize(
    ("kind", "why"),
    [("roberta", "RoBERTa-wwm-ext"), ("xlm-roberta", "SentencePiece"), ("ernie", "kind of task"),
        ("albert", "narrow")],
)  # fmt: skip
def test_a_real_roberta_is_refused_in_its_own_line(tmp_path, kind, why):
    folder = write(tmp_path / "theirs", "wwm", model_type=kind)
    with pytest.raises(InputError, match=f"model_type='{kind}'.*wanted 'bert'.*{why}"):
        take_in(folder, tmp_path / "ours")


@pytest.mark.parametrize("cased", [False, True])
def test_googles_checkpoints(tmp_path, cased):
    """Of chinese_L-12_H-768_A-12 and of multi_cased, which say nothing of case in their files."""
    transformers = pytest.importorskip("transformers")
    vocabulary = [*VOCABULARY, *("Die", "Der", "Das")] if cased else [
        token for token in VOCABULARY if token in SPECIAL or token == token.lower()
        or token[0] in "[<"
    ]  # fmt: skip
    config = FIELDS | SIZES | {"vocab_size": len(vocabulary), "max_position_embeddings": 20}
    config |= {"hidden_act": "gelu", "type_vocab_size": 2, "hidden_dropout_prob": 0.1}
    arrays = {n: feature.numpy() for n, feature in random_features(len(vocabulary)).items()}
    (tmp_path / "theirs").mkdir()
    wanted = bert_tensorflow1.write(tmp_path / "theirs", config, vocabulary, arrays, "pretraining")
    take_in(tmp_path / "theirs", tmp_path / "ours")
    found = models.load(tmp_path / "ours")(arrays)["masked_lm_logits"]
    logits = wanted["masked_lm_logits"].reshape(-1, len(vocabulary))
    np.testing.assert_allclose(found, logits, atol=1e-5)
    theirs = transformers.BertTokenizer(
        str(tmp_path / "theirs" / "vocab.txt"), do_lower_case=not cased
    )
    assert_same_ids(tokenizers.load(tmp_path / "ours"), theirs)
