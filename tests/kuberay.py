"""The fields of RayJob and RayCluster (KubeRay 1.5 and later) that `cluster/kuberay` uses, and no others.

KubeRay's own definitions are not on PyPI, so their fields are written down here; pod templates are validated against
the definitions of Kubernetes. An unknown key, which the API server would drop without a word, is an error.
"""

import re
from typing import Annotated, Any, Literal

import kubernetes_validate
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _template(value: dict[str, Any]) -> dict[str, Any]:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": value.get("metadata", {}), "spec": value["spec"]}
    valid(pod)
    return value


def _limits(value: dict[str, Any]) -> dict[str, Any]:
    container = {"name": "one", "image": "one", "resources": value}
    valid({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": {"containers": [container]}})
    return value


def valid(document: dict[str, Any]) -> None:
    """Validate a document of Kubernetes itself, unknown keys included."""
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


Template = Annotated[dict[str, Any], AfterValidator(_template)]
Resources = Annotated[dict[str, Any], AfterValidator(_limits)]
Count = Annotated[int, Field(ge=0, strict=True)]
Text = Annotated[str, Field(strict=True)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Metadata(Strict):
    name: Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=47)]
    labels: dict[str, Text] = {}


class Group(Strict):
    rayStartParams: dict[str, Text]
    template: Template


class Workers(Group):
    groupName: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    replicas: Count
    minReplicas: Count
    maxReplicas: Count
    idleTimeoutSeconds: Count | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Workers":
        assert self.minReplicas <= self.replicas <= self.maxReplicas
        return self


class Autoscaler(Strict):
    version: Literal["v1", "v2"]
    upscalingMode: Literal["Default", "Aggressive", "Conservative"] = "Default"
    idleTimeoutSeconds: Count = 60
    resources: Resources | None = None


class Auth(Strict):
    mode: Literal["token", "disabled"]


class SecretKey(Strict):
    name: str
    key: str


class ValueFrom(Strict):
    secretKeyRef: SecretKey


class Credential(Strict):
    valueFrom: ValueFrom


class FaultTolerance(Strict):
    redisAddress: str
    redisPassword: Credential


class ClusterSpec(Strict):
    rayVersion: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    authOptions: Auth
    enableInTreeAutoscaling: bool
    autoscalerOptions: Autoscaler
    gcsFaultToleranceOptions: FaultTolerance | None = None
    headGroupSpec: Group
    workerGroupSpecs: Annotated[list[Workers], Field(min_length=1)]


class SubmitterConfig(Strict):
    backoffLimit: Count


class JobSpec(Strict):
    entrypoint: str
    submissionMode: Literal["K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode"]
    backoffLimit: Count
    submitterConfig: SubmitterConfig
    shutdownAfterJobFinishes: bool
    ttlSecondsAfterFinished: Count = 0
    submitterPodTemplate: Template
    rayClusterSpec: ClusterSpec

    @model_validator(mode="after")
    def _waits_only_to_remove(self) -> "JobSpec":
        assert self.shutdownAfterJobFinishes or not self.ttlSecondsAfterFinished
        return self


class RayJob(Strict):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: Metadata
    spec: JobSpec


class RayCluster(Strict):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayCluster"]
    metadata: Metadata
    spec: ClusterSpec


def check(document: dict[str, Any]) -> None:
    """Validate a document of `cluster/kuberay` or a rendered one, and raise what is wrong with it."""
    kind = document["kind"]
    if kind in ("RayJob", "RayCluster"):
        (RayJob if kind == "RayJob" else RayCluster).model_validate(document)
    elif not re.match("Kustomization|Component", kind):
        valid(document)
