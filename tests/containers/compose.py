"""docker/compose.yaml, run by podman: so much of Compose as that file uses, and an error for the rest."""
import os

import yaml

import podman
from podman import Failed, run

FOLDER = os.path.join(podman.ROOT, "docker")
IGNORED = {"build", "depends_on", "restart", "profiles", "stop_grace_period"}  # seen to by `check`, or no matter


def options_of(service, volumes, network):
    """podman's options for a service. A key that is not known here is an error."""
    options = [f"--network={network}"]
    for key, value in service.items():
        if key == "environment":
            options += [f"--env={name}={text}" for name, text in value.items()]
        elif key == "volumes":
            for text in value:
                source, target, *mode = text.split(":")
                source = volumes.get(source) or os.path.normpath(os.path.join(FOLDER, source))
                options.append("--volume=" + ":".join([source, target, *mode]))
        elif key == "read_only":
            options += ["--read-only"] if value else []
        elif key == "tmpfs":
            options += [f"--tmpfs={text}" for text in value]
        elif key == "cap_drop":
            options += [f"--cap-drop={name}" for name in value]
        elif key == "cap_add":
            options += [f"--cap-add={name}" for name in value]
        elif key == "security_opt":
            options += [f"--security-opt={text.removesuffix(':true')}" for text in value]
        elif key == "pids_limit":
            options.append(f"--pids-limit={value}")
        elif key == "mem_limit":
            options.append(f"--memory={value}")
        elif key == "user":
            options.append(f"--user={value}")
        elif key not in IGNORED | {"image", "entrypoint", "command"}:
            raise Failed(f"compose.yaml: the test does not know '{key}'")
    return options


def words_of(service):
    """--entrypoint and the words behind the image. Compose writes a '$' as '$$'."""
    entry = [word.replace("$$", "$") for word in service.get("entrypoint", [])]
    command = [word.replace("$$", "$") for word in service.get("command", [])]
    return [f"--entrypoint={entry[0]}"] if entry else [], entry[1:] + command


def check(engine, folder):
    with open(os.path.join(FOLDER, "compose.yaml"), encoding="utf-8") as file:
        document = yaml.safe_load(file)
    services = document["services"]
    if set(document) - {"name", "services", "volumes", "x-server"}:
        raise Failed(f"compose.yaml: unknown parts in {sorted(document)}")
    volumes = {name: os.path.join(folder, "compose-" + name) for name in document["volumes"]}
    for path in volumes.values():
        os.makedirs(path)
    network = "afar-compose"
    engine.network(network)
    for name in ("one", "two"):  # in the order that depends_on wants
        if services[name]["depends_on"] != {"certs": {"condition": "service_completed_successfully"}}:
            raise Failed(f"compose.yaml: {name} does not wait for the certificates")
    entry, words = words_of(services["certs"])
    with engine.in_machines_network():  # it may have to install openssl
        run("podman", "run", "--rm", *options_of(services["certs"], volumes, "host"), *entry,
            services["certs"]["image"], *words, limit_s=600)
    for name in ("one", "two"):
        service = services[name]
        entry, words = words_of(service)
        engine.start(f"compose-{name}", "localhost/" + service["image"], *words,
                     options=[*options_of(service, volumes, network), f"--network-alias={name}", *entry])
    for name in ("one", "two"):
        deadline = 200
        while run("podman", "healthcheck", "run", f"compose-{name}", check=False).returncode != 0:
            deadline -= 1
            if deadline == 0:
                raise Failed(engine.logs(f"compose-{name}"))
    entry, words = words_of(services["client"])
    done = run("podman", "run", "--rm", *options_of(services["client"], volumes, network), *entry,
               "localhost/" + services["client"]["image"], *words)
    if done.stdout.splitlines() != ["one: Linux, uid 65532", "two: Linux, uid 65532"]:
        raise Failed(f"the client said: {done.stdout}{done.stderr}")
    for name in ("one", "two"):
        engine.stop(f"compose-{name}")
        if engine.state(f"compose-{name}")["ExitCode"] != 0:
            raise Failed(engine.logs(f"compose-{name}"))
