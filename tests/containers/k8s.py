"""docker/k8s/, checked without a cluster: Kubernetes' own schema, the Pod Security Standard "restricted", and
that names and times which must agree do. Each rule is seen to fail once, on a copy that was broken for it."""
import copy
import glob
import os

import yaml

import podman
import schema
from podman import Failed, run

FOLDER = os.path.join(podman.ROOT, "docker", "k8s")
# https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
HOST = ("hostNetwork", "hostPID", "hostIPC")
POD_KEYS = {"automountServiceAccountToken", "enableServiceLinks", "terminationGracePeriodSeconds", "securityContext",
            "containers", "initContainers", "volumes"}
CONTAINER_KEYS = {"name", "image", "args", "env", "ports", "startupProbe", "readinessProbe", "livenessProbe",
                  "securityContext", "resources", "volumeMounts", "restartPolicy", "lifecycle"}
WORKLOADS = ("Deployment", "DaemonSet", "StatefulSet")
STOP_MS = ("drain_ms", "kill_grace_ms", "last_words_ms")  # afard.conf(5): a stop takes no longer
KINDS = {"Deployment": "apps/v1", "DaemonSet": "apps/v1", "StatefulSet": "apps/v1", "Service": "v1", "ConfigMap": "v1",
         "NetworkPolicy": "networking.k8s.io/v1", "Issuer": "cert-manager.io/v1", "Certificate": "cert-manager.io/v1"}


def load():
    documents = []
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.yaml"))):
        with open(path, encoding="utf-8") as file:
            documents += list(yaml.safe_load_all(file))
    return documents


def of_kind(documents, *kinds):
    return [document for document in documents if document["kind"] in kinds]


def names_of(documents, *kinds):
    return {document["metadata"]["name"] for document in of_kind(documents, *kinds)}


def containers_of(pod):
    return pod.get("initContainers", []) + pod["containers"]


def judge_container(pod, container, claims):
    """What is wrong with it, one line for each."""
    own, of_pod = container.get("securityContext", {}), pod.get("securityContext", {})
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
        yield "capabilities are not all dropped"
    if own.get("privileged"):
        yield "privileged"
    if not own.get("runAsNonRoot", of_pod.get("runAsNonRoot")) or own.get("runAsUser", of_pod.get("runAsUser")) == 0:
        yield "may run as root"
    if own.get("seccompProfile", of_pod.get("seccompProfile")) != {"type": "RuntimeDefault"}:
        yield "no seccomp profile"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "its root can be written"
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield "no limit on memory"
    if set(container) - CONTAINER_KEYS:
        yield f"unknown keys {set(container) - CONTAINER_KEYS}"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "hostPort"
    ports = {port["name"] for port in container.get("ports", [])}
    for name, probe in container.items():
        if name.endswith("Probe") and probe["httpGet"]["port"] not in ports:
            yield f"{name}: no such port"
        if name.endswith("Probe") and probe["httpGet"]["path"] not in ("/healthz", "/readyz"):
            yield f"{name}: no such page"
    volumes = claims | {volume["name"] for volume in pod.get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        if mount["name"] not in volumes or "subPath" in mount:
            yield f"mounts {mount['name']}, which is not there or not renewed"


def judge_workload(documents, document):
    template = document["spec"]["template"]
    pod, labels = template["spec"], template["metadata"]["labels"]
    if document["spec"]["selector"]["matchLabels"] != labels:
        yield "its selector is not its pods' labels"
    for key in HOST:
        if pod.get(key):
            yield key
    if pod.get("automountServiceAccountToken") is not False:
        yield "gives its pods a token"
    if set(pod) - POD_KEYS - set(HOST):
        yield f"unknown keys {set(pod) - POD_KEYS}"
    claims = {claim["metadata"]["name"] for claim in document["spec"].get("volumeClaimTemplates", [])}
    for container in containers_of(pod):
        for complaint in judge_container(pod, container, claims):
            yield f"{container['name']}: {complaint}"
    secrets = {each["spec"]["secretName"] for each in of_kind(documents, "Certificate")}
    for volume in pod["volumes"]:
        if not set(volume) - {"name"} <= VOLUMES:
            yield f"volume {volume['name']} is of a kind that is not allowed"
        if "secret" in volume and volume["secret"]["secretName"] not in secrets:
            yield f"there is no secret {volume['secret']['secretName']}"
        if "secret" in volume and volume["secret"]["defaultMode"] != 0o440:
            yield f"volume {volume['name']} can be read by others, or not by the group"
        if "configMap" in volume and volume["configMap"]["name"] not in names_of(documents, "ConfigMap"):
            yield f"there is no ConfigMap {volume['configMap']['name']}"
    yield from judge_end(documents, pod)


def judge_end(documents, pod):
    """Connections are taken until all have heard that the pod goes, and then there is time to drain."""
    config = of_kind(documents, "ConfigMap")[0]["data"]["afard.conf"]
    numbers = dict(line.split(" = ") for line in config.splitlines() if "_ms = " in line)
    server = next(each for each in containers_of(pod) if each["name"] == "afard")
    command = server.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
    if len(command) != 2 or command[0] != "sleep" or int(command[1]) < 1:
        yield "refuses connections that are still sent to it when it ends"
        return
    takes_s = int(command[1]) + sum(int(numbers[name]) for name in STOP_MS) / 1000
    if takes_s >= pod["terminationGracePeriodSeconds"]:
        yield "its pods are killed before they have drained"


def hours(text):
    if not text.endswith("h"):
        raise Failed(f"'{text}' is not in hours")
    return int(text[:-1])


def judge_certificate(documents, spec):
    """A CA that is renewed must stay what the certificates that it has issued, and those who trust it, know."""
    if spec["issuerRef"]["name"] not in names_of(documents, "Issuer"):
        yield "has no issuer"
    if hours(spec["renewBefore"]) >= hours(spec["duration"]):
        yield "is renewed before it is made"
    if not spec.get("isCA"):
        return
    if spec["privateKey"].get("rotationPolicy") != "Never":
        yield "changes the key that others trust"
    leaves = [hours(each["spec"]["duration"]) for each in of_kind(documents, "Certificate") if not each["spec"].get("isCA")]
    if hours(spec["renewBefore"]) < max(leaves):
        yield "ends before what it has issued"


def judge_service(documents, document):
    for workload in of_kind(documents, *WORKLOADS):
        template = workload["spec"]["template"]
        if template["metadata"]["labels"] == document["spec"]["selector"]:
            ports = {port["name"] for each in containers_of(template["spec"]) for port in each.get("ports", [])}
            if not {port["targetPort"] for port in document["spec"]["ports"]} <= ports:
                yield "leads to a port that is not there"
            return
    yield "selects nothing"


def judge(documents):
    """All complaints."""
    said = []
    for document in documents:
        kind, name = document["kind"], document["metadata"]["name"]
        found = list(schema.judge(document))
        if KINDS.get(kind) != document["apiVersion"]:
            found.append("another apiVersion than its kind's")
        if kind in WORKLOADS:
            found += judge_workload(documents, document)
        if kind == "Service":
            found += judge_service(documents, document)
        if kind == "NetworkPolicy":
            chosen = document["spec"]["podSelector"]["matchExpressions"][0]["values"]
            pods = {each["spec"]["template"]["metadata"]["labels"]["app"]
                    for each in of_kind(documents, *WORKLOADS)}
            if set(chosen) != pods:
                found.append("does not select the pods that there are")
        if kind == "Certificate":
            found += judge_certificate(documents, document["spec"])
        said += [f"{kind} {name}: {complaint}" for complaint in found]
    return said


def step(at, word):
    """One step down a path; "pod" and "box" are a workload's pod and its first container."""
    if word == "pod":
        return at["spec"]["template"]["spec"]
    if word == "box":
        return step(at, "pod")["containers"][0]
    return at[int(word)] if isinstance(at, list) else at[word]


def put_kind(kind, path, value):
    """A change of the first document of that kind."""
    def change(documents):
        at = of_kind(documents, kind)[0]
        *before, last = path.split("/")
        for word in before:
            at = step(at, word)
        at[int(last) if isinstance(at, list) else last] = value
    return change


def put(path, value):
    return put_kind("Deployment", path, value)


BREAKS = {
    "allowPrivilegeEscalation": put("box/securityContext/allowPrivilegeEscalation", True),
    "capabilities": put("box/securityContext/capabilities", {"drop": ["NET_RAW"]}),
    "capabilities are": put("box/securityContext/capabilities", {"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
    "privileged": put("box/securityContext/privileged", True),
    "may run as root": put("pod/securityContext/runAsNonRoot", False),
    "may run": put("box/securityContext/runAsUser", 0),
    "no seccomp": put("pod/securityContext/seccompProfile", {"type": "Unconfined"}),
    "root can be": put("box/securityContext/readOnlyRootFilesystem", False),
    "no limit": put("box/resources", {}),
    "unknown keys": put("box/cmmand", ["x"]),
    "hostPort": put("box/ports/0/hostPort", 7420),
    "no such port": put("box/livenessProbe/httpGet/port", "htttp"),
    "no such page": put("box/readinessProbe/httpGet/path", "/ready"),
    "mounts": put("box/volumeMounts/0/name", "config"),
    "not renewed": put("box/volumeMounts/1/subPath", "tls.crt"),
    "its selector": put("spec/selector/matchLabels/app", "afar"),
    "hostNetwork": put("pod/hostNetwork", True),
    "a token": put("pod/automountServiceAccountToken", True),
    "of a kind": put("pod/volumes/2", {"name": "tmp", "hostPath": {"path": "/tmp"}}),
    "no secret": put("pod/volumes/1/secret/secretName", "afard"),
    "read by others": put("pod/volumes/1/secret/defaultMode", 0o444),
    "no ConfigMap": put("pod/volumes/0/configMap/name", "afar"),
    "killed before": put("pod/terminationGracePeriodSeconds", 27),
    "still sent": put("box/lifecycle", {}),
    "has no 'pth'": put("box/livenessProbe/httpGet/pth", "/healthz"),
    "is no int": put("box/ports/0/containerPort", "7420"),
    "is no list": put("box/args", "-c"),
    "must not be `None`": put_kind("Service", "spec/ports/0/port", None),
    "has no 'policyType'": put_kind("NetworkPolicy", "spec/policyType", ["Ingress"]),
    "'dnsName'": put_kind("Certificate", "spec/dnsName", ["afard"]),
    "the key that": put_kind("Certificate", "spec/privateKey/rotationPolicy", "Always"),
    "ends before": put_kind("Certificate", "spec/renewBefore", "720h"),
    "before it is made": put_kind("Certificate", "spec/renewBefore", "87600h"),
    "selects nothing": put_kind("Service", "spec/selector/app", "afar"),
    "leads to": put_kind("Service", "spec/ports/0/targetPort", "tls"),
    "does not select": put_kind("NetworkPolicy", "spec/podSelector/matchExpressions/0/values", ["afard"]),
    "has no issuer": put_kind("Certificate", "spec/issuerRef/name", "letsencrypt"),
    "apiVersion": put_kind("DaemonSet", "apiVersion", "extensions/v1beta1"),
}


def check_manifests():
    documents = load()
    said = judge(documents)
    if said:
        raise Failed("\n".join(said))
    for words, change in BREAKS.items():
        broken = copy.deepcopy(documents)
        change(broken)
        if not any(words in complaint for complaint in judge(broken)):
            raise Failed(f"nothing complains of '{words}' where it should")


def check_config(engine, certs, image):
    """The ConfigMap's file is one that afard takes, and its rules do what they look like."""
    text = of_kind(load(), "ConfigMap")[0]["data"]["afard.conf"]
    path = engine.write("k8s.conf", text)
    os.chmod(path, 0o644)
    words = ["podman", "run", "--rm", f"--volume={path}:/etc/afar/conf/afard.conf:ro", certs, image, "-c",
             "/etc/afar/conf/afard.conf"]
    run(*words, "--check")
    who = "uri:spiffe://cluster.local/ci"
    run(*words, "--explain", who, "--", "uname", "-a")
    if run(*words, "--explain", who, "--", "sh", check=False).returncode != 3:
        raise Failed("the rules allow what they should not")
