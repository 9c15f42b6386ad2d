"""Manifests for Kubernetes: a JobSet that trains, or Dask's operator and a Job that curates.

The fields are those of the JobSet API v1alpha2 (jobset.sigs.k8s.io), of kubernetes.dask.org/v1
(dask-kubernetes) and of batch/v1. Values are JSON, which YAML holds.
"""

import json
from collections.abc import Sequence

from roots_tf.launching.printed import WORKER, Printed

_PORT = 2222
_GRACE = 300  # seconds from SIGTERM on in which a checkpoint is saved

_JOB_SET = """\
# For kubectl apply, by `roots launch --print=kubernetes`. It wants the JobSet controller, which
# makes the headless service by which the workers find one another.
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: {name}
spec:
  network:
    enableDNSHostnames: true
  failurePolicy:
    maxRestarts: {max_restarts} # in all: it does not know which of them made progress
    rules:
      - name: mistake
        action: FailJobSet
        onJobFailureReasons: [PodFailurePolicy]
  replicatedJobs:
    - name: worker
      replicas: 1
      template:
        spec:
          parallelism: {count}
          completions: {count}
          completionMode: Indexed
          backoffLimit: 0 # a worker that dies ends all, and all start again
          podFailurePolicy:
            rules:
              # A mistake of the command, and a loss that diverged: they would come again.
              - action: FailJob
                onExitCodes:
                  operator: In
                  values: [2, 3]
          template:
            spec:
              restartPolicy: Never
              terminationGracePeriodSeconds: {grace}
{pod}
"""

_DASK = """\
# For kubectl apply, by `roots launch --print=kubernetes`. It wants Dask's operator. The scheduler
# asks nobody who they are: keep other pods from it by a NetworkPolicy.
apiVersion: kubernetes.dask.org/v1
kind: DaskCluster
metadata:
  name: {name}
spec:
  worker:
    replicas: {count}
    spec:
{worker}
  scheduler:
    spec:
{scheduler}
          ports:
            - name: tcp-comm
              containerPort: 8786
              protocol: TCP
            - name: http-dashboard
              containerPort: 8787
              protocol: TCP
          readinessProbe:
            httpGet:
              port: http-dashboard
              path: /health
    service:
      type: ClusterIP
      selector:
        dask.org/cluster-name: {name}
        dask.org/component: scheduler
      ports:
        - name: tcp-comm
          protocol: TCP
          port: 8786
          targetPort: tcp-comm
        - name: http-dashboard
          protocol: TCP
          port: 8787
          targetPort: http-dashboard
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  backoffLimit: {max_restarts} # a run goes on with the tasks that are not done
  podFailurePolicy:
    rules:
      # A mistake of the command, which would come again.
      - action: FailJob
        onExitCodes:
          operator: In
          values: [2]
  template:
    spec:
      restartPolicy: Never
{program}
"""

_CONTAINER = """containers:
  - name: {name}
    image: {image}
    {key}: {words}
{variables}    workingDir: {path}
    resources:
      limits: {limits}
    volumeMounts:
      - name: shared
        mountPath: {path}
"""
_VOLUME = """volumes:
  - name: shared
    persistentVolumeClaim:
      claimName: {claim}
"""


def text(
    words: Sequence[str], count: int, dask_workers: int, printed: Printed, max_restarts: int
) -> str:
    """The manifest.

    Args:
        words: a program and its flags.
        count: pods, a worker each.
        dask_workers: pods with a worker of Dask each, instead; 0: none.
        printed: what a pod is given.
        max_restarts: of all pods.

    Raises:
        InputError: there is no image, or no volume.
    """
    name = printed.job_name
    about = {"name": name, "max_restarts": max_restarts, "grace": _GRACE}
    if not dask_workers:
        hosts = [f'"{name}-worker-0-{i}.{name}:{_PORT}"' for i in range(count)]
        variables = {"WORKERS": ", ".join(hosts)}
        command = ["bash", "-c", f"INDEX=$JOB_COMPLETION_INDEX; {WORKER}", "worker"]
        pod = _pod(printed, "worker", [*command, "roots", *words], variables=variables)
        return _JOB_SET.format(**about, count=count, pod=_indented(pod, 14).rstrip())
    worker = ["dask", "worker", "--name", "$(DASK_WORKER_NAME)", "--nthreads", "1"]
    scheduler = _pod(printed, "scheduler", ["dask", "scheduler"], key="args", literal=False)
    containers, _, volumes = scheduler.partition("volumes:")
    program = [*("roots", *words), f"--scheduler=tcp://{name}-scheduler:8786"]
    return _DASK.format(
        **about,
        count=dask_workers,
        worker=_indented(_pod(printed, "worker", worker, key="args", literal=False), 6).rstrip(),
        # The fields of the scheduler's container follow: its volumes stand before it.
        scheduler=_indented(f"volumes:{volumes}{containers}", 6).rstrip(),
        program=_indented(_pod(printed, name, program), 6).rstrip(),
    )


def _pod(
    printed: Printed,
    name: str,
    words: Sequence[str],
    *,
    key: str = "command",
    variables: dict[str, str] | None = None,
    literal: bool = True,
) -> str:
    """Containers and volumes of a pod; where `literal`, Kubernetes expands nothing in the words."""
    claim, path = printed.claim
    limits = {"cpu": str(printed.cpus), "memory": f"{printed.memory}Gi"}
    limits |= {"nvidia.com/gpu": str(printed.gpus)} if printed.gpus else {}
    shown = [word.replace("$(", "$$(") for word in words] if literal else list(words)
    lines = "".join(
        f"      - name: {variable}\n        value: {json.dumps(value)}\n"
        for variable, value in (variables or {}).items()
    )
    container = _CONTAINER.format(
        **{"name": name, "image": json.dumps(printed.image), "key": key},
        **{"words": json.dumps(shown, ensure_ascii=False), "path": json.dumps(path)},
        **{"limits": json.dumps(limits), "variables": f"    env:\n{lines}" if lines else ""},
    )
    return container + _VOLUME.format(claim=claim)


def _indented(lines: str, by: int) -> str:
    return "".join(f"{' ' * by}{line}\n" for line in lines.splitlines())
