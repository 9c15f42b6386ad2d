"""The models that others are compared with are those of transformers, in and out."""

import importlib

import numpy as np
import pytest

from pipelines import export
from tests.export.conftest import SIZES, random_features, torch_inputs
from tests.export.numpy_bert import HEADS

import_checkpoint = importlib.import_module("pipelines.import")


def test_outputs_are_those_of_transformers(save_hugging_face, tmp_path):
    """Also of what has come in and gone out again, in which transformers misses nothing."""
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    features = random_features(SIZES["vocab_size"])
    inside = features["padding_mask"].numpy()
    for architecture in HEADS:
        fields = {"hidden_act": "gelu_new"} if architecture == "BertForMaskedLM" else {}
        ours, folder = save_hugging_face(architecture, **fields)
        within, out = str(tmp_path / architecture), str(tmp_path / f"{architecture}_out")
        import_checkpoint.main(import_checkpoint.Config(from_=str(folder), output=within))
        export.main(export.Config(model=within, output=out, format="huggingface"))
        inputs = torch_inputs(features)
        if architecture == "BertForMultipleChoice":  # one choice a question
            inputs = {name: x[:, None] for name, x in inputs.items()}
        found = ours(features)
        for place in (folder, out):
            theirs, info = getattr(transformers, architecture).from_pretrained(
                place, output_loading_info=True
            )
            assert not any(info.values()), info
            with torch.no_grad():
                wanted = theirs.eval()(**inputs)
            compared = vars(found).keys() & wanted.keys()
            assert compared
            for name in compared:
                a, b = getattr(found, name), wanted[name].numpy()
                if a.shape[:2] == inside.shape:
                    a, b = a[inside], b[inside]
                np.testing.assert_allclose(a, b, atol=1e-5, err_msg=f"{name} of {place}")
