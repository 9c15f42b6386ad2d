"""The models that others are compared with give what those of transformers give."""

import numpy as np
import pytest

from tests.export.conftest import SIZES, random_features, torch_inputs
from tests.export.numpy_bert import HEADS, NumpyBert


@pytest.mark.parametrize("architecture", HEADS)
def test_outputs_are_those_of_transformers(tmp_path, architecture):
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    fields = {"hidden_act": "gelu_new"} if architecture == "BertForMaskedLM" else {}
    ours = NumpyBert(architecture, **SIZES, **fields)
    ours.save(tmp_path)
    theirs, info = getattr(transformers, architecture).from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not any(info.values()), info
    features = random_features(SIZES["vocab_size"])
    inputs = torch_inputs(features)
    if architecture == "BertForMultipleChoice":  # one choice a question
        inputs = {name: x[:, None] for name, x in inputs.items()}
    with torch.no_grad():
        wanted = theirs.eval()(**inputs)
    found, inside = ours(features), features["padding_mask"].numpy()
    compared = vars(found).keys() & wanted.keys()
    assert compared
    for name in compared:
        a, b = getattr(found, name), wanted[name].numpy()
        if a.shape[:2] == inside.shape:
            a, b = a[inside], b[inside]
        np.testing.assert_allclose(a, b, atol=1e-5, err_msg=name)
