"""Parts of the distillation loss against literals, and what must hold for every kind of task."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models, tasks
from roots_tf.labelled.token_rows import RowBatcher, ungrouped
from roots_tf.losses import names_of_losses
from roots_tf.models import inspection
from roots_tf.storage.files import InputError
from roots_tf.tasks import distillation
from roots_tf.tasks.distillation import Distillation, Parts, Watched
from roots_tf.tasks.texts import Texts
from roots_tf.training import optimizers, step
from tests.batches import pretraining_batch
from tests.models.test_encoder import model_and_weights, of_variants
from tests.tasks.test_finetuning import OF_ENCODERS, write

KINDS = (*OF_ENCODERS, "texts")
ALL = Parts(soft=1.0, hidden=1.0, embedding=1.0, attention=1.0, cosine=1.0)
IDS = ("token_ids", "segment_ids")
ONE = dict.fromkeys(("soft", "hard", "hidden", "embedding", "attention", "cosine"), 0.0)


def only(**weights) -> Parts:
    return Parts(**ONE | weights)


def batch_of(name, folder, tokenizer, examples=(0, 1, 2, 3)):
    """A kind that has learned its labels, and a batch of its four examples."""
    path = write(folder, "classification" if name == "texts" else name)
    if name == "texts":
        kind = Texts(max_seq_length=64)
        found = kind.read(path, {}, labelled=False)
    else:
        kind = tasks.KINDS[name](max_seq_length=64)
        found = kind.read(path, {})
        kind = kind.learn(found).of_tokenizer(tokenizer)
    rows = kind.rows(found, tokenizer, labelled=name != "texts")
    return kind, RowBatcher(rows, tokenizer.pad_id)(tf.constant(examples))


def wide(encoder, num_layers, **fields):
    """Sizes with weights so large that a wrong one shows."""
    return dataclasses.replace(encoder, num_layers=num_layers, initializer_range=0.3, **fields)


def test_softened_answers():
    # softmax([ln 3, 0]) = [3/4, 1/4]; softmax([0, 0]) = [1/2, 1/2]
    teacher, student = tf.constant([[np.log(3.0), 0.0]], tf.float32), tf.zeros([1, 2])
    found = distillation.divergence(student, teacher, 1.0)
    np.testing.assert_allclose(found, [0.75 * np.log(1.5) + 0.25 * np.log(0.5)], rtol=1e-5)
    # Twice the logits at twice the temperature are the same answers, times 2^2.
    np.testing.assert_allclose(
        distillation.divergence(2 * student, 2 * teacher, 2.0), 4 * found, rtol=1e-5
    )
    # A class that both leave out, as answers in padding are, adds nothing.
    out = tf.constant([[-1e9]])
    with_out = (tf.concat([logits, out], -1) for logits in (student, teacher))
    np.testing.assert_allclose(distillation.divergence(*with_out, 1.0), found, rtol=1e-5)


def test_its_gradient_is_that_of_cross_entropy():
    teacher, logits = tf.constant([[1.0, -2.0, 0.5]]), tf.Variable([[0.3, 0.2, -1.0]])
    with tf.GradientTape() as tape:
        loss = distillation.divergence(logits, teacher, 3.0)
    # Hinton et al. 2015, eq. 2, times T^2.
    expected = 3.0 * (tf.nn.softmax(logits / 3.0) - tf.nn.softmax(teacher / 3.0))
    np.testing.assert_allclose(tape.gradient(loss, logits), expected, rtol=1e-5)


def test_errors_of_vectors():
    student = tf.constant([[1.0, 2.0], [0.0, 3.0]])
    teacher = tf.constant([[3.0, 2.0], [4.0, 0.0]])
    assert distillation.mean_squared_error(student, teacher).numpy().tolist() == [2.0, 12.5]
    found = distillation.cosine_distance(student, teacher)
    np.testing.assert_allclose(found, [1 - 7 / np.sqrt(5 * 13), 1.0], rtol=1e-5)


def test_scores_of_keys_that_are_not_seen_do_not_count():
    student = tf.constant([[[[1.0, 2.0, 9.0]] * 3, [[0.0, 0.0, -9.0]] * 3]])  # [1, 2, 3, 3]
    teacher = tf.zeros([1, 2, 3, 3])
    seen = tf.constant([[[[True, True, False]]]])
    found = distillation.attention_error(student, teacher, seen)
    np.testing.assert_allclose(found, [[(1 + 4 + 0 + 0) / 4] * 3])
    by_query = tf.constant([[[[True, False, False], [True, True, True], [False] * 3]]])
    found = distillation.attention_error(student, teacher, by_query)
    np.testing.assert_allclose(found, [[1 / 2, (1 + 4 + 81 + 81) / 6, 0.0]])


def test_layers_are_spread_evenly():
    assert distillation.layer_map(4, 12) == (2, 5, 8, 11)
    assert distillation.layer_map(6, 6) == (0, 1, 2, 3, 4, 5)
    assert distillation.layer_map(1, 6) == (5,)
    with pytest.raises(InputError, match="4 layers for a teacher of 6; wanted .*: 1, 2, 3, 6$"):
        distillation.layer_map(4, 6)
    with pytest.raises(InputError, match="12 layers for a teacher of 6"):
        distillation.layer_map(12, 6)


@of_variants()
def test_a_watched_model_does_what_the_model_does(config):
    pretrainer, _ = model_and_weights(config)
    model = models.PooledEncoder(config)
    for name, variable in models.named_weights(model).items():
        variable.assign(models.named_weights(pretrainer)[name].value)
    features = pretraining_batch(0, 4, 16, 50, 3)
    watched = Watched(model, learns=True, scored=True)
    for seed in (None, tf.constant([3, 4])):
        found, expected = watched(features, seed=seed), model(features, seed=seed)
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, atol=1e-5)
    watched(features)
    last = tf.reshape(expected := model(features)["hidden_states"], [-1, config.hidden_dim])
    np.testing.assert_allclose(watched.hidden[-1], last, atol=1e-5)
    assert len(watched.hidden) == config.num_layers + 1
    maps = inspection.attention_maps(model.encoder, features)
    inside = features["padding_mask"].numpy()
    for layer in range(config.num_layers):
        scores, seen = watched.scores(layer)
        weights = tf.nn.softmax(tf.where(seen, scores, -1e9)).numpy()  # [B, N, L, L]
        for row, mask in enumerate(inside):
            np.testing.assert_allclose(
                weights[row][:, mask], maps[layer][row].numpy()[:, mask], atol=1e-5
            )
    assert expected.shape == (4, 16, config.hidden_dim)


@pytest.mark.parametrize("name", KINDS)
def test_a_copy_of_the_teacher_has_no_loss(name, tmp_path, tokenizer, encoder):
    kind, batch = batch_of(name, tmp_path, tokenizer)
    for fields in ({}, {"norm": "pre", "positions": "rotary", "window": 8, "global_every": 2}):
        config = wide(encoder, 2, **fields)
        teacher, student = kind.make_model(config, seed=1), kind.make_model(config, seed=2)
        task = Distillation(kind, teacher, student, ALL)
        names = set(names_of_losses(task.scalars))
        assert names == {f"{part}_loss" for part in ONE} - {"hard_loss"}
        before = task.sums(batch)
        distillation.copy_weights(teacher, student)
        after = task.sums(batch)
        assert {scalar.name for scalar in task.scalars} == after.keys()
        for loss in names_of_losses(task.scalars):
            assert float(before[loss][0] / before[loss][1]) > 1e-3, loss
            assert float(after[loss][0] / after[loss][1]) == pytest.approx(0, abs=1e-5), loss
        if "agreement_accuracy" in after:
            right, count = after["agreement_accuracy"]
            assert float(right) == float(count) > 0


@pytest.mark.parametrize("name", OF_ENCODERS)
def test_sums_of_halves_are_the_sums_of_the_whole(name, tmp_path, tokenizer, encoder):
    sizes = wide(encoder, 2), wide(encoder, 1, hidden_dim=8)
    parts = dataclasses.replace(ALL, hard=0.5)
    whole, *halves = (
        batch_of(name, tmp_path, tokenizer, part) for part in ([0, 1, 2, 3], [0, 2], [3, 1])
    )
    kind = whole[0]
    teacher, student = (kind.make_model(config, seed) for seed, config in enumerate(sizes))
    task = Distillation(kind, teacher, student, parts)
    found, *of_halves = (task.sums(batch) for _, batch in (whole, *halves))
    assert set(names_of_losses(task.scalars)) <= found.keys()
    assert set(names_of_losses(kind.scalars)) <= set(names_of_losses(task.scalars))
    compares_rows = set() if kind.additive else {scalar.name for scalar in kind.scalars}
    for key in found.keys() - compares_rows:
        for i, value in enumerate(found[key]):
            sum_of_halves = sum(float(half[key][i]) for half in of_halves)
            assert float(value) == pytest.approx(sum_of_halves, rel=1e-4), key
    weights = {key: float(weight) for key, weight in task.weights(whole[1]).items()}
    assert weights == {key: float(found[key][1]) for key in names_of_losses(task.scalars)}


def test_hidden_states_are_compared_layer_by_layer(tmp_path, tokenizer, encoder):
    kind, batch = batch_of("classification", tmp_path, tokenizer)
    teacher = kind.make_model(wide(encoder, 4), 1)
    student = kind.make_model(wide(encoder, 2, hidden_dim=8), 2)
    task = Distillation(kind, teacher, student, only(hidden=1.0, embedding=3.0))
    projections = [
        projection.kernel.numpy()
        for projection in (task.model.hidden_projection, task.model.embedding_projection)
    ]
    own, other = Watched(student, True), Watched(teacher, False)
    own(batch), other(batch)
    inside = batch["padding_mask"].numpy().reshape(-1)

    def error(mine, theirs, projection):
        difference = own.hidden[mine] @ projection - other.hidden[theirs]
        return np.square(difference).mean(-1)[inside].sum()

    sums = task.sums(batch)
    expected = (error(1, 2, projections[0]) + error(2, 4, projections[0])) / 2
    assert float(sums["hidden_loss"][0]) == pytest.approx(expected, rel=1e-5)
    assert float(sums["hidden_loss"][1]) == inside.sum()
    expected = 3.0 * error(0, 0, projections[1])
    assert float(sums["embedding_loss"][0]) == pytest.approx(expected, rel=1e-5)


def test_cosines_of_texts_are_what_a_teacher_without_a_task_teaches(tmp_path, tokenizer, encoder):
    kind, batch = batch_of("texts", tmp_path, tokenizer)
    teacher = kind.make_model(wide(encoder, 2), 1)
    student = kind.make_model(wide(encoder, 1, hidden_dim=8), 2)
    total, weight = Distillation(kind, teacher, student, only(soft=2.0)).sums(batch)["soft_loss"]
    mask, cosines = batch["padding_mask"].numpy(), []
    for model in (student, teacher):
        hidden = model(batch)["hidden_states"].numpy()
        vectors = np.stack([rows[kept].mean(0) for rows, kept in zip(hidden, mask, strict=True)])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines.append(vectors @ vectors.T)
    assert float(weight) == 4 * 3
    squares = np.square(cosines[0] - cosines[1])
    assert float(total) == pytest.approx(2.0 * squares.sum(), rel=1e-4)


@pytest.mark.parametrize("pooling", ["cls", "pooler"])
def test_vectors_of_texts_are_made_as_the_teachers_folder_says(
    tmp_path, tokenizer, encoder, pooling
):
    said = {"pooling": pooling, "l2_normalize": True, "max_seq_length": 6}
    said |= {"prompts": {"query": "the end "}, "default_prompt_name": "query"}
    kind = Texts.of({"encoder": encoder, "embedding": said}, "teacher")
    assert kind.description() == {"embedding": said | {"similarity_fn_name": None}}
    assert Texts.of({"encoder": encoder}, "teacher").description() == {}
    (tmp_path / "plain.txt").write_text("of a film\n")
    (tmp_path / "prompted.txt").write_text("the end of a film\n")
    ids = []
    for reader, name in ((kind, "plain.txt"), (Texts(max_seq_length=6), "prompted.txt")):
        read = reader.read(tmp_path / name, {}, labelled=False)
        rows = reader.rows(read, tokenizer, labelled=False)
        ids.append(RowBatcher(rows, tokenizer.pad_id)(tf.constant([0]))["token_ids"])
    np.testing.assert_array_equal(*ids)
    model = kind.make_model(wide(encoder, 1), 1)
    batch = {"padding_mask": tf.constant([[True] * 3] * 2)}
    batch |= {name: tf.constant([[2, 5, 3], [2, 6, 3]]) * (name == "token_ids") for name in IDS}
    output = model(batch)
    vectors = (output["pooled"] if pooling == "pooler" else output["hidden_states"][:, 0]).numpy()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(kind.answers(output, batch), unit @ unit.T, atol=1e-5)


def test_the_hard_part_is_the_tasks_own_loss(tmp_path, tokenizer, encoder):
    kind, batch = batch_of("tagging", tmp_path, tokenizer)
    teacher, student = (kind.make_model(wide(encoder, 1), seed) for seed in (1, 2))
    task = Distillation(kind, teacher, student, only(hard=0.25))
    assert names_of_losses(task.scalars) == ("tagging_loss",)
    found, own = task.sums(batch), kind.sums(student, batch)
    assert float(found["tagging_loss"][0]) == pytest.approx(0.25 * float(own["tagging_loss"][0]))
    assert float(found["tagging_loss"][1]) == float(own["tagging_loss"][1]) == 6
    assert float(found["tagging_accuracy"][0]) == float(own["tagging_accuracy"][0])


@pytest.mark.parametrize("width", (16, 8))
def test_a_projection_only_where_widths_differ(width, tmp_path, tokenizer, encoder):
    kind, _ = batch_of("classification", tmp_path, tokenizer)
    teacher = kind.make_model(wide(encoder, 2), 1)
    student = kind.make_model(wide(encoder, 1, hidden_dim=width), 2)
    task = Distillation(kind, teacher, student, ALL)
    names = {variable.path for variable in task.model.trainable_variables}
    further = {"hidden_projection/kernel", "embedding_projection/kernel"}
    assert names == set(models.named_weights(student)) | (set() if width == 16 else further)
    for variable in task.model.trainable_variables:
        if variable.path in further:
            assert tuple(variable.shape) == (8, 16)


@pytest.mark.parametrize("name", ("classification", "texts"))
def test_training_moves_the_student_alone(name, tmp_path, tokenizer, encoder):
    kind, batch = batch_of(name, tmp_path, tokenizer)
    teacher = kind.make_model(wide(encoder, 2, dropout=0.5), 1)
    student = kind.make_model(wide(encoder, 1, hidden_dim=8, dropout=0.0), 2)
    task = Distillation(kind, teacher, student, ALL)
    with tf.GradientTape() as tape:
        sums = task.sums(batch, tf.constant([1, 2]))
        loss = tf.add_n([sums[part][0] for part in names_of_losses(task.scalars)])
    assert set(tape.gradient(loss, [v.value for v in teacher.variables])) == {None}
    # The teacher draws no dropout, and the student has a rate of 0. (Eager sums of the same numbers
    # may differ in their last bits with where the allocator puts them.)
    again = task.sums(batch, tf.constant([3, 4]))
    assert {key: float(pair[0]) for key, pair in again.items()} == pytest.approx(
        {key: float(pair[0]) for key, pair in sums.items()}, rel=1e-4
    )
    before = [variable.numpy() for variable in teacher.variables]
    trained = [variable.value for variable in task.model.trainable_variables]
    first = [variable.numpy() for variable in trained]
    train_step = tf.function(
        step.TrainStep(
            task,
            optimizers.AdamW(trained, 0.0),
            lambda at: tf.constant(1e-2),
            seed=0,
            max_grad_norm=1.0,
        )
    )
    losses = []
    for at in range(30):
        sums = train_step(batch, tf.constant(at, tf.int64))
        parts = names_of_losses(task.scalars)
        losses.append(sum(float(sums[part][0] / sums[part][1]) for part in parts))
    assert losses[-1] < 0.5 * losses[0]
    for variable, value in zip(teacher.variables, before, strict=True):
        assert (variable.numpy() == value).all(), variable.path
    moved = [(v.numpy() != value).any() for v, value in zip(trained, first, strict=True)]
    assert all(moved)


def test_every_second_block_is_copied(tmp_path, tokenizer, encoder):
    kind, _ = batch_of("classification", tmp_path, tokenizer)
    teacher, student = kind.make_model(wide(encoder, 4), 1), kind.make_model(wide(encoder, 2), 2)
    assert distillation.is_cut(student.config, teacher.config)
    assert not distillation.is_cut(wide(encoder, 2, hidden_dim=8), teacher.config)
    assert not distillation.is_cut(wide(encoder, 2, num_heads=4), teacher.config)
    distillation.copy_weights(teacher, student)
    weights = models.named_weights(teacher)
    for name, variable in models.named_weights(student).items():
        source = name.replace("layer_1/", "layer_3/").replace("layer_0/", "layer_1/")
        assert (variable.numpy() == weights[source].numpy()).all(), name


def test_parts_that_do_not_go_together_are_refused(tmp_path, tokenizer, encoder):
    kind, _ = batch_of("classification", tmp_path, tokenizer)
    teacher, student = kind.make_model(wide(encoder, 4), 1), kind.make_model(wide(encoder, 3), 2)
    with pytest.raises(InputError, match="found a student of 3 layers for a teacher of 4"):
        Distillation(kind, teacher, student, only(hidden=1.0))
    Distillation(kind, teacher, student, only(soft=1.0, cosine=1.0))  # wants no map
    heads = kind.make_model(wide(encoder, 2, num_heads=4), 2)
    with pytest.raises(InputError, match="found 4 heads for a teacher of 2"):
        Distillation(kind, teacher, heads, only(attention=1.0))
    with pytest.raises(InputError, match="found temperature=0; wanted one above 0"):
        Distillation(kind, teacher, heads, only(soft=1.0), temperature=0.0)
    with pytest.raises(InputError, match="found hard_weight=1 and a teacher without a task"):
        Distillation(Texts(), teacher, heads, only(hard=1.0))
    for weights in ({}, {"soft": -1.0, "hidden": 1.0}):
        with pytest.raises(InputError, match="found soft_weight=.*wanted no weight below 0"):
            only(**weights)


def test_groups_are_seen_as_rows(tmp_path, tokenizer, encoder):
    kind, batch = batch_of("multiple_choice", tmp_path, tokenizer)
    model = kind.make_model(wide(encoder, 1), 1)
    output = model(ungrouped(batch))
    assert kind.answers(output, batch).shape == (4, 3)
    assert kind.answer_weights(batch).shape == (4,)


def test_cosines_over_replicas_are_those_of_one_device(tmp_path, tokenizer, encoder):
    """Sums and gradients: a replica's texts are compared with the texts of all replicas."""
    path = tmp_path / "texts.txt"
    path.write_text("the end\nwhat was that\nof a film\nin\nand then some\nwho\n")
    kind = Texts(max_seq_length=64)
    assert not kind.additive
    rows = kind.rows(kind.read(path, {}, labelled=False), tokenizer, labelled=False)
    batch = RowBatcher(rows, tokenizer.pad_id)(tf.range(6))
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

    def make():
        teacher = kind.make_model(wide(encoder, 2), 1)
        student = kind.make_model(wide(encoder, 1, hidden_dim=8, dropout=0.0), 2)
        parts = only(soft=2.0, cosine=1.0)
        return Distillation(kind, teacher, student, parts, seed=3)

    def sums_and_gradients(task, batch):
        variables = [variable.value for variable in task.model.trainable_variables]
        with tf.GradientTape() as tape:
            sums = task.sums(batch, tf.constant([1, 2]))
            loss = tf.add_n([sums[name][0] for name in names_of_losses(task.scalars)])
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        return sums, [tf.convert_to_tensor(x) for x in gradients], task.weights(batch)

    alone = make()
    assert not alone.additive
    assert Distillation(kind, alone.teacher, alone.model.student, only(cosine=1.0)).additive
    expected = sums_and_gradients(alone, batch)
    with strategy.scope():
        task = make()

    @tf.function
    def replicas(batch):
        def replica(batch):
            context = tf.distribute.get_replica_context()
            own = step.local_part(batch, 2, context.replica_id_in_sync_group)
            return context.all_reduce("SUM", sums_and_gradients(task, own))

        found = strategy.run(replica, args=(batch,))
        return tf.nest.map_structure(lambda x: strategy.experimental_local_results(x)[0], found)

    found = replicas(batch)
    assert float(found[0]["soft_loss"][1]) == 6 * 5
    for values, same in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        scale = float(tf.reduce_max(tf.abs(same)))
        np.testing.assert_allclose(values, same, atol=1e-5 * max(scale, 1e-3))
