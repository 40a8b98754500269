"""Kubernetes' own description of its objects, as Debian's python3-kubernetes has it (1.22): each key is known,
of its type, and there where it must be. What is newer, or not Kubernetes' own, is described here."""
from kubernetes.client import models

# In Kubernetes since 1.29: a sidecar.
NEWER = {"V1Container": {"restartPolicy": "str"}}
STRINGS = ["str"]
CERT_MANAGER = {
    "Issuer": {"spec": ({"selfSigned": {}}, {"ca": {"secretName": "str"}})},
    "Certificate": {"spec": ({
        "secretName": "str", "isCA": "bool", "commonName": "str", "dnsNames": STRINGS, "uris": STRINGS,
        "usages": STRINGS, "duration": "str", "renewBefore": "str",
        "privateKey": {"algorithm": "str", "size": "int", "rotationPolicy": "str"},
        "issuerRef": {"name": "str", "kind": "str"}},)},
}
PLAIN = {"str": str, "int": int, "bool": bool, "float": (int, float), "datetime": str}


def judge_plain(value, kind, where):
    wanted = PLAIN[kind]
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        yield f"{where}: {value!r} is no {kind}"


def judge_model(value, kind, where):
    if not isinstance(value, dict):
        yield f"{where}: {value!r} is no {kind}"
        return
    model = getattr(models, kind)
    attributes = {key: name for name, key in model.attribute_map.items()}
    words = {}
    for key, inner in value.items():
        if key in NEWER.get(kind, {}):
            yield from judge_plain(inner, NEWER[kind][key], f"{where}.{key}")
        elif key not in attributes:
            yield f"{where}: {kind} has no '{key}'"
        else:
            words[attributes[key]] = inner
            yield from judge_type(inner, model.openapi_types[attributes[key]], f"{where}.{key}")
    try:
        model(**words)
    except ValueError as why:  # what must be there, and is not
        yield f"{where}: {why}"


def judge_type(value, kind, where):
    """By a type as the models write them: str, V1Pod, list[V1Pod], dict(str, str), object."""
    if kind.startswith("list["):
        if not isinstance(value, list):
            yield f"{where}: {value!r} is no list"
            return
        for number, inner in enumerate(value):
            yield from judge_type(inner, kind[5:-1], f"{where}[{number}]")
    elif kind.startswith("dict("):
        if not isinstance(value, dict):
            yield f"{where}: {value!r} is no mapping"
            return
        for key, inner in value.items():
            yield from judge_type(inner, kind[5:-1].split(", ", 1)[1], f"{where}.{key}")
    elif kind in PLAIN:
        yield from judge_plain(value, kind, where)
    elif kind != "object":
        yield from judge_model(value, kind, where)


def judge_table(value, table, where):
    """By a type as CERT_MANAGER writes them."""
    if isinstance(table, list):
        for number, inner in enumerate(value):
            yield from judge_plain(inner, table[0], f"{where}[{number}]")
    elif isinstance(table, dict):
        for key, inner in value.items():
            if key not in table:
                yield f"{where}: there is no '{key}'"
            else:
                yield from judge_table(inner, table[key], f"{where}.{key}")
    else:
        yield from judge_plain(value, table, where)


def judge(document):
    """What is wrong with it, one line for each."""
    kind = document["kind"]
    if kind in CERT_MANAGER:
        yield from judge_model(document["metadata"], "V1ObjectMeta", "metadata")
        kinds = CERT_MANAGER[kind]["spec"]
        table = next((table for table in kinds if set(table) & set(document["spec"])), kinds[0])
        yield from judge_table(document["spec"], table, "spec")
    else:
        yield from judge_model(document, f"V1{kind}", kind)
