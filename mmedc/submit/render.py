"""Files that run a recipe on a cluster: a RayJob of KubeRay, a job of Slurm, machines of `ray up`.

The files of `cluster/` are complete and valid as they are; here the values of a recipe are put into them. The result
depends on the recipe and the options only.
"""

import io
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from mmedc.errors import RequestError
from mmedc.recipe import Recipe
from mmedc.shipped import shipped
from mmedc.submit.portable import GIB, as_yaml, check_reachable, modules_of, node_bytes, values_of

Provider = Literal["aws", "gcp", "on-premises"]

MODULE_BYTES = 256 << 10
"""Of a module in a ConfigMap, which holds 1 MiB."""
LONGEST_NAME = 47
"""Characters of the name of a RayJob: KubeRay makes longer names of it, of at most 63."""
FAMILIES: dict[str, tuple[tuple[int, str], ...]] = {
    "aws": ((2, "c6i"), (4, "m6i"), (8, "r6i")),
    "gcp": ((1, "n2-highcpu"), (4, "n2-standard"), (8, "n2-highmem")),
}
"""Provider → (GiB of memory per CPU, family of machines), least memory first."""
AWS_SIZES = {2: "large", 4: "xlarge", 8: "2xlarge", 16: "4xlarge", 32: "8xlarge", 48: "12xlarge", 64: "16xlarge"}
GCP_SIZES = (2, 4, 8, 16, 32, 48, 64, 80)


@dataclass(frozen=True)
class Nodes:
    """The machines of a cluster."""

    workers: int = 8
    """The most that are not spot machines."""
    spot: int = 0
    """The most machines that may be taken away."""
    cpus: int = 8
    """CPUs of a worker: the units that it runs at once."""
    gpus: int | None = None
    """The most machines with a GPU; by default 1 where the recipe or a stage after it uses one, else none."""

    def gpu_nodes(self, recipe: Recipe, parts: Iterable[str] | None = None) -> int:
        """Return the most machines with a GPU for this recipe and the stages after its corpus."""
        return self.gpus if self.gpus is not None else int(recipe.classify is not None or bool(parts))


@dataclass(frozen=True)
class Kubernetes:
    """What is particular to one Kubernetes."""

    image: str = "mmedc:0.1.0"
    """The image of `cluster/docker/Dockerfile`; with `-gpu` at its end that of machines with a GPU."""
    volume: str = ""
    """`CLAIM:/PATH`: a claim of a volume that all pods mount at the same path; empty for none."""
    role: str = ""
    """The role of AWS (`arn:…`) or the account of Google Cloud that lets the pods into the object store."""


def kuberay(recipe: Recipe, out: str, nodes: Nodes, site: Kubernetes, parts: dict[str, Any] | None = None) -> str:
    """Return the YAML of a RayJob that runs a recipe, with its ConfigMap, ServiceAccount and NetworkPolicy.

    `parts` are the values of the stages after the corpus (`parts_of`), none by default.

    Raises: RequestError when pods would not see what the recipe names, or a value is of the wrong form.
    """
    claim, separator, mounted = site.volume.partition(":")
    if site.volume and not (claim and separator and mounted.startswith("/")):
        raise RequestError(f"--volume {site.volume}: expected CLAIM:/PATH, such as corpora:/data")
    values = {**values_of(recipe, out), **(parts or {})}
    check_reachable(values, mounted.rstrip("/"))
    name = _kubernetes_name(recipe.name)
    account, policy, job = (_template("kuberay", path) for path in (
        "base/serviceaccount.yaml", "base/networkpolicy.yaml", "job/rayjob.yaml"))  # fmt: skip
    if site.role:
        account["metadata"]["annotations"] = {_annotation(site.role): site.role}
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{name}-recipe", "labels": {"app.kubernetes.io/name": "mmedc"}},
        "data": {"recipe.yaml": LiteralScalarString(as_yaml(values)), **_modules(recipe)},
    }
    job["metadata"]["name"] = name
    spec = job["spec"]
    if parts:
        spec["entrypoint"] += f" --then {','.join(parts)}"
    spec["submitterPodTemplate"]["spec"]["containers"][0]["image"] = site.image
    cluster = spec["rayClusterSpec"]
    most = {"workers": nodes.workers, "spot": nodes.spot, "gpu": nodes.gpu_nodes(recipe, parts)}
    groups = cluster["workerGroupSpecs"]
    for group in groups:
        _size(group, most[group["groupName"]], nodes.cpus, node_bytes(recipe, nodes.cpus))
        if group["groupName"] == "gpu" and recipe.classify and group["maxReplicas"]:
            group["minReplicas"] = group["replicas"] = 1  # the pass uses a GPU only if the cluster has one by then
    cluster["workerGroupSpecs"] = [group for group in groups if group["maxReplicas"]]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        with_torch = group.get("groupName") == "gpu" or (parts and group is cluster["headGroupSpec"])
        pod["containers"][0]["image"] = f"{site.image}-gpu" if with_torch else site.image
        pod["volumes"][0]["configMap"]["name"] = f"{name}-recipe"
        if claim:
            pod["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": claim}})
            pod["containers"][0]["volumeMounts"].append({"name": "data", "mountPath": mounted})
    return _documents(account, config, policy, job)


def _modules(recipe: Recipe) -> dict[str, LiteralScalarString]:
    """Return the modules of the recipe's own steps, which pods find beside it. Raises: RequestError for packages."""
    found = {}
    for name, path in modules_of(recipe).items():
        if path.is_dir() or path.stat().st_size > MODULE_BYTES:
            raise RequestError(
                f"{path}: pods get modules of one file, of {MODULE_BYTES >> 10} KiB at most; install {name} in the "
                "image, or use `mmedc submit`, which takes it along"
            )
        found[path.name] = LiteralScalarString(path.read_text("utf-8"))
    return found


def slurm(recipe: Recipe, file: str, out: str, sets: list[str], nodes: Nodes, then: tuple[str, ...] = ()) -> str:
    """Return the script of a Slurm job that runs the recipe `file` with the settings `sets`, and the stages `then`."""
    script = (shipped("cluster") / "slurm" / "build.sbatch").read_text(encoding="utf-8")
    megabytes = -(-node_bytes(recipe, nodes.cpus) // nodes.cpus >> 20)
    settings = " ".join(f"--set {shlex.quote(each)}" for each in sets)
    lines = {
        "#SBATCH --job-name=": f"mmedc-{recipe.name}",
        "#SBATCH --nodes=": str(nodes.workers),
        "#SBATCH --cpus-per-task=": str(nodes.cpus),
        "#SBATCH --mem-per-cpu=": f"{megabytes}M",
        "RECIPE=": shlex.quote(file),
        "OUT=": shlex.quote(out),
        "THEN=": f"({'--then ' + shlex.quote(','.join(then))})",
        "SETTINGS=": f"({settings})",
    }
    for start, value in lines.items():
        pattern = f"(?m)^{re.escape(start)}.*$"
        if len(re.findall(pattern, script)) != 1:
            raise RequestError(f"cluster/slurm/build.sbatch: expected exactly one line {start}…")
        script = re.sub(pattern, (start + value).replace("\\", r"\\"), script)
    if count := nodes.gpu_nodes(recipe, then):
        header = f"#SBATCH hetjob\n#SBATCH --nodes={count}\n#SBATCH --ntasks-per-node=1\n#SBATCH --gpus-per-node=1\n"
        header += f"#SBATCH --cpus-per-task={nodes.cpus}\n#SBATCH --mem-per-cpu={megabytes}M\n"
        script = script.replace("set -euo pipefail\n", f"{header}set -euo pipefail\n", 1)
    return script


def ray_up(recipe: Recipe, out: str, nodes: Nodes, provider: Provider) -> str:
    """Return the YAML of `ray up` for machines of a provider, with the recipe on the head.

    Raises: RequestError when the recipe names what these machines would not see, or no such machine is known.
    """
    values = values_of(recipe, out)
    if provider != "on-premises":  # where a disk may be shared, and only their owner knows
        check_reachable(values, "")
    config = _template("ray", f"{provider}.yaml")
    config["cluster_name"] = _kubernetes_name(recipe.name)
    config["max_workers"] = nodes.workers
    del config["file_mounts"]["~/recipe.yaml"]
    text = as_yaml(values)
    config["head_setup_commands"] = [
        LiteralScalarString(f"cat > ~/recipe.yaml <<'END-OF-RECIPE'\n{text}END-OF-RECIPE\n")
    ]
    if provider != "on-premises":
        worker = config["available_node_types"]["worker"]
        worker["max_workers"] = nodes.workers
        key = "InstanceType" if provider == "aws" else "machineType"
        worker["node_config"][key] = _machine(provider, nodes.cpus, node_bytes(recipe, nodes.cpus))
    return _documents(config)


def _size(group: dict[str, Any], most: int, cpus: int, memory: int) -> None:
    """Set how many machines a group has at most, and how large they are."""
    group["maxReplicas"] = most
    group["minReplicas"] = group["replicas"] = min(group["minReplicas"], most)
    group["rayStartParams"]["num-cpus"] = str(cpus)
    resources = group["template"]["spec"]["containers"][0]["resources"]
    resources["requests"]["cpu"] = str(cpus)
    resources["requests"]["memory"] = resources["limits"]["memory"] = f"{memory // GIB}Gi"


def _machine(provider: Provider, cpus: int, memory: int) -> str:
    """Return the smallest kind of machine with `cpus` CPUs and `memory` bytes. Raises: RequestError."""
    sizes = AWS_SIZES if provider == "aws" else {size: str(size) for size in GCP_SIZES}
    if cpus not in sizes:
        raise RequestError(f"--cpus {cpus}: no machine of {provider} has as many; known: {', '.join(map(str, sizes))}")
    for gib, family in FAMILIES[provider]:
        if gib * GIB * cpus >= memory:
            return f"{family}.{sizes[cpus]}" if provider == "aws" else f"{family}-{sizes[cpus]}"
    most = FAMILIES[provider][-1][0]
    raise RequestError(
        f"limits.memory asks for {memory / GIB / cpus:.1f} GiB per CPU, and {provider} has at most {most}; "
        "lower it, or put another kind of machine into the file"
    )


def _annotation(role: str) -> str:
    """Return the annotation of a service account that binds it to `role`. Raises: RequestError."""
    if role.startswith("arn:"):
        return "eks.amazonaws.com/role-arn"
    if role.endswith(".iam.gserviceaccount.com"):
        return "iam.gke.io/gcp-service-account"
    raise RequestError(f"--role {role}: expected arn:aws:iam::…:role/… or NAME@PROJECT.iam.gserviceaccount.com")


def _kubernetes_name(name: str) -> str:
    return f"mmedc-{name.replace('_', '-')}"[:LONGEST_NAME].rstrip("-")


def _template(*parts: str) -> Any:
    """Return a file of `cluster/` as values that keep its comments."""
    reader = YAML(typ="rt")
    reader.preserve_quotes = True  # "8" is a text, and KubeRay wants texts
    return reader.load(Path(shipped("cluster"), *parts))


def _documents(*documents: Any) -> str:
    """Return documents as one YAML stream."""
    writer = YAML(typ="rt")
    writer.width = 4096
    writer.indent(mapping=2, sequence=2, offset=0)
    texts = []
    for document in documents:
        stream = io.StringIO()
        writer.dump(document, stream)
        texts.append(stream.getvalue())
    return "---\n".join(texts)
