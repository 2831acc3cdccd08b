"""What `cluster/` has and `mmedc render` writes is valid where it will be read, and as safe as it says."""

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import ray
from ruamel.yaml import YAML
from typer.testing import CliRunner

from mmedc import __version__
from mmedc.cli import app
from mmedc.errors import RecipeError, RequestError
from mmedc.recipe import read_recipe, recipe_of
from mmedc.submit.render import Kubernetes, Nodes, kuberay, ray_up, slurm
from tests.kuberay import check

ROOT = Path(__file__).parent.parent
CLUSTER = ROOT / "cluster"
S3 = "s3://bucket/prefix"


def documents(text: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(text))


def job_of(text: str) -> dict[str, Any]:
    return next(each for each in documents(text) if each["kind"] == "RayJob")


def rendered(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["render", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def base() -> dict[str, Any]:
    return job_of((CLUSTER / "kuberay" / "job" / "rayjob.yaml").read_text("utf-8"))


def test_every_file_for_kubernetes_is_valid() -> None:
    found = [path for path in CLUSTER.glob("kuberay/**/*.yaml") if path.name not in ("names.yaml", "recipe.yaml")]
    for path in found:
        for document in documents(path.read_text("utf-8")):
            check(document)
    assert len(found) == 11


@pytest.mark.parametrize("name", ["job", "s3", "gcs", "cluster"])
def test_overlays_are_put_together(name: str) -> None:
    if not shutil.which("kubectl"):
        pytest.skip("needs kubectl")
    done = subprocess.run(["kubectl", "kustomize", CLUSTER / "kuberay" / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = documents(done.stdout)
    for document in found:
        check(document)
    config = next(each for each in found if each["kind"] == "ConfigMap")["metadata"]["name"]
    assert config != "mmedc-recipe" and done.stdout.count(f"name: {config}\n") == 5  # with the digest of its content


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.entrypointt", "mmedc"),
        ("spec.backoffLimit", "three"),
        ("spec.rayClusterSpec.headGroupSpec.rayStartParams.num-cpus", 0),
        ("spec.rayClusterSpec.headGroupSpec.template.spec.containers.0.imagee", "mmedc"),
        ("spec.submitterPodTemplate.spec.restartPolicy", 3),
        ("spec.rayClusterSpec.autoscalerOptions.version", "v3"),
    ],
)
def test_a_mistake_is_noticed(base: dict[str, Any], path: str, value: object) -> None:
    document = copy.deepcopy(base)
    *keys, last = path.split(".")
    place: Any = document
    for key in keys:
        place = place[int(key) if key.isdigit() else key]
    place[last] = value
    with pytest.raises((ValueError, kubernetes_validate.ValidationError), match=last):
        check(document)


def test_a_standing_cluster_is_that_of_a_job(base: dict[str, Any]) -> None:
    (cluster,) = documents((CLUSTER / "kuberay" / "cluster" / "raycluster.yaml").read_text("utf-8"))
    assert cluster["spec"] == base["spec"]["rayClusterSpec"]
    assert cluster["spec"]["rayVersion"] == ray.__version__


def test_a_job_is_not_tried_again_and_shows_itself_to_nobody(base: dict[str, Any]) -> None:
    spec = base["spec"]
    assert spec["backoffLimit"] == 0 == spec["submitterConfig"]["backoffLimit"]
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    groups = [spec["rayClusterSpec"]["headGroupSpec"], *spec["rayClusterSpec"]["workerGroupSpecs"]]
    policy = documents((CLUSTER / "kuberay" / "base" / "networkpolicy.yaml").read_text("utf-8"))[0]["spec"]
    chosen = policy["podSelector"]["matchLabels"].items()
    for template in [spec["submitterPodTemplate"], *(group["template"] for group in groups)]:
        assert chosen <= template["metadata"]["labels"].items()
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
    for group in groups:
        assert {"readinessProbe", "livenessProbe"} <= set(group["template"]["spec"]["containers"][0])


def test_a_rayjob_has_the_recipe_and_the_sizes_that_it_needs(tmp_path: Path) -> None:
    recipe = read_recipe("quickstart", ["limits.memory=2GiB"])
    role = "arn:aws:iam::1:role/corpora"
    text = kuberay(recipe, S3, Nodes(workers=20, spot=5, cpus=4, gpus=2), Kubernetes("reg/mmedc:1", "", role))
    found = documents(text)
    for document in found:
        check(document)
    account, config, _, job = found
    assert account["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": role}
    again = recipe_of(YAML(typ="safe").load(config["data"]["recipe.yaml"]))
    assert again.model_copy(update={"out": recipe.out}) == recipe and again.out == S3
    assert job["metadata"]["name"] == "mmedc-quickstart"
    groups = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert [(group["groupName"], group["minReplicas"], group["maxReplicas"]) for group in groups] == [
        ("workers", 1, 20), ("spot", 0, 5), ("gpu", 0, 2),
    ]  # fmt: skip
    pod = groups[0]["template"]["spec"]["containers"][0]
    assert pod["resources"] == {"requests": {"cpu": "4", "memory": "11Gi"}, "limits": {"memory": "11Gi"}}
    assert set(re.findall(r"image: (\S+)", text)) == {"reg/mmedc:1", "reg/mmedc:1-gpu"}
    assert "# a build needs a CPU to begin with" in text  # comments stay


def test_a_recipe_that_uses_a_gpu_finds_one() -> None:
    recipe = read_recipe(
        "quickstart", ["classify.checkpoint=shipped:x", "classify.label=medical", "limits.memory=1GiB"]
    )
    groups = job_of(kuberay(recipe, S3, Nodes(), Kubernetes()))["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert [(group["groupName"], group["minReplicas"]) for group in groups] == [("workers", 1), ("gpu", 1)]
    assert "#SBATCH --gpus-per-node=1" in slurm(recipe, "r.yaml", "/out", [], Nodes())


TRAINED = """name: toy
languages: [en]
sources: {pages: {warc: "shipped:quickstart/pages.warc.gz", kind: web, licence: Apache-2.0}}
train: {name: toy, model: {config: {model_type: llama}}, data: {corpora: {medical: corpus}}, steps: 2}
bench: {model: none, items: questions}
"""


def test_stages_after_the_corpus_are_rendered(tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(TRAINED)
    (tmp_path / "questions").mkdir()
    name, place = str(tmp_path / "toy.yaml"), ("--out", S3, "--volume", f"disk:{tmp_path}")
    builds = job_of(rendered("kuberay", name, "--out", S3, "--then", ""))["spec"]
    assert builds["entrypoint"] == "mmedc pipeline /etc/mmedc/recipe.yaml --address auto"
    done = CliRunner().invoke(app, ["render", "kuberay", name, *place])
    assert isinstance(done.exception, RecipeError) and "train.out" in str(done.exception)
    text = rendered("kuberay", name, *place, "--set", f"train.out={tmp_path}/model")
    values = YAML(typ="safe").load(documents(text)[1]["data"]["recipe.yaml"])
    assert values["train"]["data"]["corpora"] == {"medical": S3}
    assert values["train"]["out"] == str(tmp_path / "model") and values["bench"]["items"] == [f"{tmp_path}/questions"]
    spec = job_of(text)["spec"]
    check(job_of(text))
    assert spec["entrypoint"].endswith(" --address auto --then train,bench")
    assert [group["groupName"] for group in spec["rayClusterSpec"]["workerGroupSpecs"]] == ["workers", "gpu"]
    head = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert head["image"].endswith("-gpu")  # the driver exports the model
    for then, line in ((None, "(--then train,bench)"), ("train", "(--then train)"), ("", "(--then '')")):
        script = rendered("slurm", name, "--out", "/out", *([] if then is None else ["--then", then]))
        assert f"\nTHEN={line}\n" in script and ("#SBATCH hetjob" in script) == (then != "")
    (machines,) = documents(rendered("ray", name, "--out", S3))
    assert "train:" not in str(machines) and "bench:" not in str(machines)


def test_what_pods_would_not_see_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("name: a_long\nsources: {pages: {warc: in/*.warc.gz}}\nblock: [b.txt]\n")
    recipe = read_recipe(str(tmp_path / "recipe.yaml"))
    with pytest.raises(RequestError, match="no `out`"):
        kuberay(recipe, "", Nodes(), Kubernetes())
    with pytest.raises(RequestError, match="--volume CLAIM:/PATH") as problem:
        kuberay(recipe, S3, Nodes(), Kubernetes())
    assert f"sources.pages.warc: {tmp_path}/in/*.warc.gz" in str(problem.value) and "block: " in str(problem.value)
    text = kuberay(recipe, S3, Nodes(gpus=0), Kubernetes(volume=f"corpora:{tmp_path}"))
    job = job_of(text)
    check(job)
    assert job["metadata"]["name"] == "mmedc-a-long"
    assert text.count("claimName: corpora") == 2 == text.count(f"mountPath: {tmp_path}")
    for volume, role, said in (("x", "", "--volume x"), ("", "root", "--role root")):
        with pytest.raises(RequestError, match=said):
            kuberay(read_recipe("quickstart"), S3, Nodes(), Kubernetes(volume=volume, role=role))


def shellcheck(script: Path) -> str:
    program = Path(sys.executable).parent / "shellcheck"
    return subprocess.run([program, script], capture_output=True, text=True).stdout


def test_scripts_for_slurm_are_sound(tmp_path: Path) -> None:
    path = tmp_path / "a b.sbatch"
    recipe = read_recipe("quickstart")
    path.write_text(slurm(recipe, "/a b/r.yaml", "/out", ["x='y z'"], Nodes(workers=3, cpus=2, gpus=1)))
    for script in (*CLUSTER.glob("slurm/*.sbatch"), path):
        assert shellcheck(script) == ""
    text = path.read_text()
    assert "\nRECIPE='/a b/r.yaml'\n" in text and "\nSETTINGS=(--set 'x='\"'\"'y z'\"'\"'')\n" in text
    header = re.findall(r"^#SBATCH (.*)$", text, re.M)
    assert {"--nodes=3", "--cpus-per-task=2", "--mem-per-cpu=4096M", "hetjob", "--gpus-per-node=1"} <= set(header)
    plain = slurm(recipe, "r.yaml", "", [], Nodes())
    assert "#SBATCH hetjob" not in plain and "symmetric-run" not in plain and "ray stop" not in plain
    for script in CLUSTER.glob("slurm/*.sbatch"):
        assert "RAY_AUTH_MODE=token" in script.read_text("utf-8")


@pytest.mark.parametrize("provider", ["aws", "gcp", "on-premises"])
def test_machines_of_ray_up_are_what_ray_reads(provider: Any) -> None:
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text("utf-8"))
    (shipped,) = documents((CLUSTER / "ray" / f"{provider}.yaml").read_text("utf-8"))
    (made,) = documents(ray_up(read_recipe("quickstart"), S3, Nodes(workers=3, cpus=16), provider))
    for config in (shipped, made):
        jsonschema.validate(config, schema)
        starts = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
        starts = [line for line in starts if "ray start" in line]
        assert len(starts) == 2 and all("RAY_AUTH_MODE=token ~/mmedc/bin/ray start" in line for line in starts)
        assert "--dashboard-host=127.0.0.1" in starts[0]
        assert f"mmedc[metrics]=={__version__}" in str(config["setup_commands"])
    assert made["max_workers"] == 3 and "shipped:quickstart/pages.warc.gz" in made["head_setup_commands"][0]
    with pytest.raises(jsonschema.ValidationError, match="max_workerz"):
        jsonschema.validate({**made, "max_workerz": 1}, schema)
    if provider != "on-premises":
        kind = made["available_node_types"]["worker"]["node_config"]
        assert kind["InstanceType" if provider == "aws" else "machineType"] in ("m6i.4xlarge", "n2-standard-16")
        with pytest.raises(RequestError, match="--cpus 5"):
            ray_up(read_recipe("quickstart"), S3, Nodes(cpus=5), provider)
        with pytest.raises(RequestError, match=r"limits\.memory"):
            ray_up(read_recipe("quickstart", ["limits.memory=20GiB"]), S3, Nodes(), provider)


def test_the_same_command_writes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = [rendered(platform, "quickstart", "--out", S3) for platform in ("kuberay", "slurm", "ray")]
    monkeypatch.chdir(tmp_path)
    assert [rendered(platform, "quickstart", "--out", S3) for platform in ("kuberay", "slurm", "ray")] == first


def test_the_dockerfile_keeps_the_rules() -> None:
    """Those of a linter that matter here: pinned, not root, no cache, no secret, as few layers as needed."""
    text = (CLUSTER / "docker" / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    stages = {line.split()[3] for line in lines if re.match(r"FROM \S+ AS ", line)}
    for line in lines:
        word, _, rest = line.partition(" ")
        assert word in {"ARG", "FROM", "ENV", "WORKDIR", "RUN", "COPY", "LABEL", "USER", "ENTRYPOINT", "CMD"}, line
        if word == "FROM":
            assert rest.split()[0] in stages | {"${BASE}"}
        if word in ("ENTRYPOINT", "CMD"):
            assert json.loads(rest)
        if word == "WORKDIR":
            assert rest.startswith("/")
        if word == "RUN" and "pip install" in rest:
            for install in rest.split("pip install")[1:]:
                assert "--constraint constraints.txt" in install or re.search(r"'[\w-]+==[\d.]+'", install), line
        assert not re.search(r"apt-get|curl|wget|sudo|:latest|(?i:secret|password|token=)", rest), line
    assert re.search(r"^ARG BASE=python:3\.11\.\d+-slim-\w+$", text, re.M) and "PIP_NO_CACHE_DIR=1" in text
    base = text[text.index(" AS base\n") :]
    assert "USER 1000:1000" in base and "USER root" not in base  # cpu and gpu begin there
    copied = {
        name for line in lines if line.startswith("COPY ") and "--from" not in line for name in line.split()[1:-1]
    }
    allowed = {
        line[1:] for line in (CLUSTER / "docker" / "Dockerfile.dockerignore").read_text().split() if line[0] == "!"
    }
    assert copied == allowed and all((ROOT / name).exists() for name in copied)
    assert f"mmedc:{__version__}" in text
