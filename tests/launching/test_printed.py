"""What is printed for Slurm and Kubernetes: it parses, has the fields it must have, and runs."""

import json
import os
import subprocess

import pytest

from pipelines import launch
from roots_tf import program
from roots_tf.flags import FlagError
from roots_tf.launching import places
from roots_tf.storage.files import InputError

PRETRAIN = ["pretrain", "--examples=/s/ex", '--output=/s/it\'s $(a) "run"']
CURATE = ["curate", "--input=a,b*", "--output=/s/documents"]
KUBERNETES = {"print_": "kubernetes", "image": "me/roots:1", "volume": "claim:/shared"}


def printed(capsys, command, **fields) -> str:
    fields = {name.removesuffix("_"): value for name, value in fields.items()}
    launch.main(program.make(launch.Config, command=tuple(command), **fields))
    return capsys.readouterr().out


def by_kind(text: str) -> dict[str, dict]:
    yaml = pytest.importorskip("yaml")
    return {found["kind"]: found for found in yaml.safe_load_all(text)}


def test_a_job_set_has_what_the_api_asks_for(capsys):
    text = printed(capsys, PRETRAIN, num_processes=2, gpus=4, **KUBERNETES)
    job_set = by_kind(text)["JobSet"]
    assert job_set["apiVersion"] == "jobset.x-k8s.io/v1alpha2"
    assert job_set["spec"]["network"] == {"enableDNSHostnames": True}  # the headless service
    [rule] = job_set["spec"]["failurePolicy"]["rules"]
    assert {"name", "action"} <= set(rule)
    [job] = job_set["spec"]["replicatedJobs"]
    spec = job["template"]["spec"]
    assert (spec["completionMode"], spec["parallelism"], spec["completions"]) == ("Indexed", 2, 2)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # as podFailurePolicy asks for
    [container] = spec["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "4"
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["template"]["spec"]["volumes"]}
    # As Kubernetes does, which expands $(NAME) and takes $$( for $(.
    words = [word.replace("$$(", "$(") for word in container["command"]]
    assert words[-3:] == PRETRAIN
    shown = ["sh", "-c", 'echo "$TF_CONFIG"; for word; do echo "$word"; done', "sh"]
    variables = {e["name"]: e["value"] for e in container["env"]} | {"JOB_COMPLETION_INDEX": "1"}
    ran = subprocess.run(
        [*words[:4], *shown, *PRETRAIN], env=os.environ | variables, capture_output=True, text=True
    )
    found = json.loads(ran.stdout.splitlines()[0])
    assert found["task"] == {"type": "worker", "index": 1}
    name = job_set["metadata"]["name"]
    assert found["cluster"]["worker"] == [f"{name}-worker-0-{i}.{name}:2222" for i in range(2)]
    assert ran.stdout.splitlines()[1:] == PRETRAIN


def test_a_dask_cluster_and_its_job(capsys):
    found = by_kind(printed(capsys, CURATE, dask_workers=3, **KUBERNETES))
    cluster, job = found["DaskCluster"], found["Job"]
    assert cluster["apiVersion"] == "kubernetes.dask.org/v1"
    assert cluster["spec"]["worker"]["replicas"] == 3
    assert set(cluster["spec"]["scheduler"]) == {"spec", "service"}
    service, name = cluster["spec"]["scheduler"]["service"], cluster["metadata"]["name"]
    assert service["selector"]["dask.org/cluster-name"] == name
    [container] = cluster["spec"]["scheduler"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["targetPort"]: port["port"] for port in service["ports"]} == ports
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["roots", *CURATE, f"--scheduler=tcp://{name}-scheduler:8786"]


# As Slurm does: what is called says what it was given; srun starts each task with its number.
STAND_INS = {
    "scontrol": 'case $1 in show) printf "n1\\nn2\\n" ;; *) echo "$@" >> "$CALLS" ;; esac',
    "srun": """while [ "${1#--}" != "$1" ]; do shift; done
trap 'kill -USR1 $(jobs -p)' USR1
for SLURM_PROCID in 0 1; do export SLURM_PROCID; "$@" & done
status=0
for job in $(jobs -p); do
    wait $job; s=$?; while kill -0 $job 2> /dev/null; do wait $job; s=$?; done
    [ $s -le $status ] || status=$s
done
exit $status""",
    "roots": """trap 'exit 138' USR1
echo "$TF_CONFIG $*" >> "$CALLS"
calls=$(wc -l < "$CALLS")
case $calls in [1-$FAIL]) touch "$SAVED/ckpt-$calls.index"; kill -9 $$ ;; esac
if [ -n "$SLOW" ]; then
    while [ "$(wc -l < "$CALLS")" -lt 2 ]; do sleep 0.1; done
    [ "$SLURM_PROCID" = 1 ] || kill -USR1 "$SLURM_SCRIPT"
    while true; do sleep 0.1; done
fi
exit ${STATUS:-0}""",
    "sleep": 'case $1 in 0.1) exec /bin/sleep 0.1 ;; *) echo "sleep $1" >> "$SLEPT" ;; esac',
}  # fmt: skip


@pytest.fixture
def slurm(capsys, tmp_path):
    """Runs a script with variables; gives its status and the calls of `roots` and `scontrol`."""
    for name, body in STAND_INS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "run").mkdir()
    command = ["pretrain", "--examples=e", f"--output={tmp_path / 'run'}"]
    script = tmp_path / "script.sh"
    script.write_text(printed(capsys, command, num_processes=2, print_="slurm", max_restarts=2))

    def run(**variables):
        given = {"FAIL": "0", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]", "SLOW": ""}
        given |= {"CALLS": str(tmp_path / "calls"), "SAVED": str(tmp_path / "run")}
        given |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLEPT": str(tmp_path / "slept")}
        (tmp_path / "calls").write_text("")
        start = f'export SLURM_SCRIPT=$$; exec bash "{script}"'
        done = subprocess.run(
            ["bash", "-c", start],
            env=os.environ | given | variables,
            capture_output=True,
            text=True,
        )
        return done.returncode, (tmp_path / "calls").read_text().splitlines()

    return run


@pytest.mark.parametrize("command", [PRETRAIN, CURATE])
def test_scripts_are_bash(capsys, command):
    workers = {"dask_workers": 2} if command is CURATE else {"num_processes": 2}
    text = printed(capsys, command, print_="slurm", gpus=2, time_limit="2-00:00:00", **workers)
    assert text.startswith("#!/bin/bash\n")
    assert "\n#SBATCH --time=2-00:00:00\n" in text and "\n#SBATCH --gpus-per-node=2\n" in text
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_a_script_gives_each_task_its_place(slurm):
    status, calls = slurm()
    assert status == 0 and len(calls) == 2
    tasks = [json.loads(call.partition(" pretrain")[0]) for call in calls]
    assert {task["task"]["index"] for task in tasks} == {0, 1}
    assert all(task["cluster"] == {"worker": ["n1:2222", "n2:2222"]} for task in tasks)
    assert all(" pretrain --examples=e --output=" in call for call in calls)


def test_a_script_starts_again_after_a_death_and_not_after_a_mistake(slurm):
    assert slurm(STATUS="2")[0] == 2
    assert len(slurm(STATUS="2")[1]) == 2
    assert len(slurm(STATUS="1")[1]) == 6  # two restarts
    status, calls = slurm(FAIL="8")  # each death after something was saved
    assert (status, len(calls)) == (0, 10)


def test_a_script_that_is_warned_saves_and_queues_the_job_again(slurm):
    status, calls = slurm(SLOW="1")
    assert status == 138
    assert calls[-1] == "requeue 7" and len(calls) == 3


def test_mistakes_are_found_before_anything_is_printed_or_started(capsys):
    for command, fields, kind, message in (
        ([], {}, InputError, "found no program to start"),
        (["pretrian"], {}, FlagError, "did you mean pretrain"),
        (["pretrain", "--output=x", "--foo"], {}, FlagError, "found a flag --foo"),
        (PRETRAIN, {"hosts": ("a",), "num_processes": 2}, InputError, "wanted one of them"),
        (CURATE, {"num_processes": 2}, InputError, "distill, finetune, pretrain"),
        (PRETRAIN, {"dask_workers": 2}, InputError, "build-examples, curate, train-tokenizer"),
        ([*CURATE, "--scheduler=s"], {"dask_workers": 2}, InputError, "wanted one of them"),
        ([*PRETRAIN, "--strategy=tpu"], {"num_processes": 2}, InputError, "--strategy=tpu"),
        (PRETRAIN, {"print_": "kubernetes"}, InputError, "found --volume="),
        (PRETRAIN, {"print_": "kubernetes", "volume": "c:/s"}, InputError, "found no --image"),
        (PRETRAIN, {"print_": "slurm", "time_limit": "soon"}, InputError, "--time_limit=soon"),
        (PRETRAIN, {"print_": "slurm", "job_name": "a b"}, InputError, "--job_name=a b"),
        ([*PRETRAIN[:2], "--output=s3://b/r"], {"num_processes": 2}, InputError, "and several wor"),
        ([*PRETRAIN[:2], "--output=s3://b/r"], {"hosts": ("a", "b")}, InputError, "=s3://b/r and"),
        (
            [*CURATE[:2], "--output=s3://b/r"],
            {"dask_workers": 2} | KUBERNETES,
            InputError,
            "=s3://",
        ),
        (PRETRAIN, {"hosts": ("-oX=y",)}, InputError, "found the host"),
        (PRETRAIN, {"hosts": ("a:1", "a:1")}, InputError, "found an address twice"),
    ):
        with pytest.raises(kind) as error:
            printed(capsys, command, **fields)
        assert message in str(error.value)
    assert capsys.readouterr().out == ""


def test_places():
    assert [p.address for p in places.of_hosts(["a", "a", "me@b:4000"])] == [
        "a:2222", "a:2223", "b:4000",
    ]  # fmt: skip
    here = places.here(3)
    assert len({place.address for place in here}) == 3
    assert json.loads(places.tf_config(here, 2))["task"] == {"type": "worker", "index": 2}
    assert places.devices(["0", "1", "2", "3"], 1, 2) == "2,3"
    with pytest.raises(InputError, match="found 3 GPUs for --num_processes=2"):
        places.devices(["0", "1", "2"], 0, 2)
