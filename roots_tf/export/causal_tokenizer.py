"""Tokenizers of causal models in folders of transformers, in and out."""

from pathlib import Path

from tokenizers import processors

from roots_tf import tokenizers
from roots_tf.export.causal_config import Config
from roots_tf.storage import files, schema
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import Tokenizer, loading, tokenizer, transformers_settings

_GENERATION = "generation_config.json"
_Ids = int | tuple[int, ...] | None


def read(folder: Path, config: Config) -> Tokenizer:
    """The tokenizer of a folder: `tokenizer.json`, or GPT-2's `vocab.json` and `merges.txt`.

    Args:
        folder: of the model.
        config: of the model, which says the ids of what begins and ends a text.

    Raises:
        InputError: there is none, it wants what ours cannot do, or the ends of a text are others
            than the config says.
    """
    found = tokenizers.load(folder)
    _check_ends(found, config, folder)
    return found


def _check_ends(found: Tokenizer, config: Config, folder: Path) -> None:
    """Compares what begins and ends a text in `config.json` or `generation_config.json`.

    The second is what transformers generates by; it may name several ends, of which ours must be
    one.

    Raises:
        InputError: they differ, or an end has no id.
    """
    path = folder / _GENERATION
    said = schema.read_object(path) if path.is_file() else {}
    for role in ("bos", "eos"):
        key, ours = f"{role}_token_id", getattr(found, f"{role}_id")
        place = path if said.get(key) is not None else folder / "config.json"
        ids = said.get(key) if place == path else getattr(config, key)
        ids = schema.check(ids, _Ids, f"{place}, {key}")
        ids = [] if ids is None else [ids] if isinstance(ids, int) else list(ids)
        if ids and ours not in ids:
            token = None if ours is None else found.vocabulary[ours]
            raise InputError(
                "settings-disagree",
                f"found {key}={ids[0] if len(ids) == 1 else ids} in {place} and {token!r} of id "
                f"{ours} in the tokenizer; wanted the two to agree: correct the wrong one, here or "
                f"{role}_token in {transformers_settings.CONFIG_NAME}",
            )


def write(folder: Path, ours: Tokenizer, length: int, chat_template: str | None = None) -> None:
    """Writes what `AutoTokenizer` loads; it puts the begin of text before a text.

    Args:
        folder: where to.
        ours: of the model.
        length: tokens of a text at most.
        chat_template: of a model of conversations, in the language of transformers.
    """
    ours.save(folder)
    path = folder / tokenizer.JSON_NAME
    backend = loading.load(path).backend
    backend.post_processor = None
    if ours.bos_id is not None:
        token = ours.vocabulary[ours.bos_id]
        backend.post_processor = processors.TemplateProcessing(
            single=f"{token} $A", pair=f"{token} $A $B:1", special_tokens=[(token, ours.bos_id)]
        )
    files.write_text(path, backend.to_str(pretty=True))
    ends = {role: getattr(ours, f"{role}_id") for role in ("bos", "eos")}
    path = folder / transformers_settings.CONFIG_NAME
    said = files.read_json(path) | {
        "model_max_length": length,
        # GPT-2 would add the embedding of a token to each for its segment.
        "model_input_names": ["input_ids", "attention_mask"],
    }
    said |= {f"{role}_token": ours.vocabulary[i] for role, i in ends.items() if i is not None}
    said |= {"chat_template": chat_template} if chat_template else {}
    files.write_json(path, said)


def end_ids(ours: Tokenizer) -> dict[str, int]:
    """Ids of what begins, ends and pads a text, as `generation_config.json` names them.

    Args:
        ours: of the model. Without a padding token, the end of a text pads, as is usual.
    """
    ids = {
        "bos_token_id": ours.bos_id,
        "eos_token_id": ours.eos_id,
        "pad_token_id": ours.causal_pad_id,
    }
    return {name: number for name, number in ids.items() if number is not None}
