"""Renders the chart, and looks at what comes of it."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import tomllib

from harness import REPO, TOOLS, check

CHART = REPO / "deploy/helm/grpc-hub"
DOCS = REPO / "docs/kubernetes.md"
HELM, MANIFESTS = TOOLS / "bin/helm", TOOLS / "bin/manifests"
RELEASE, NAMESPACE = "try", "edge"
# Rendering is a matter of milliseconds.
LIMIT_S = 60
# An image with a tag, or with a digest.
IMAGE = re.compile(r"([\w.-]+(:\d+)?/)?[\w./-]+(:[\w.-]+|@sha256:[0-9a-f]{64})")
# What the end of a hub takes beyond its two timeouts.
GRACE_S = 15


class Helm:
    """Helm, with a home of its own."""

    def __init__(self, scratch):
        self.scratch = scratch
        homes = {f"HELM_{home}_HOME": str(scratch / home) for home in ("CACHE", "CONFIG", "DATA")}
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(scratch),
            **homes,
            "KUBECONFIG": "/dev/null",
        }

    def run(self, *argv, values, kubeconfig=None):
        """Runs it with values, which are JSON, and so YAML."""
        path = self.scratch / "values.json"
        path.write_text(values if isinstance(values, str) else json.dumps(values))
        env = {**self.env, **({"KUBECONFIG": str(kubeconfig)} if kubeconfig else {})}
        argv = [HELM, *argv, "--values", path]
        return subprocess.run(
            [str(part) for part in argv],
            env=env,
            capture_output=True,
            encoding="utf-8",
            timeout=LIMIT_S,
            check=False,
        )

    def lint(self, values):
        """Fails unless the chart is good with these values."""
        done = self.run("lint", "--strict", CHART, values=values)
        check(done.returncode == 0, f"helm lint: {done.stdout}{done.stderr}")

    def template(self, values, *flags, kubeconfig=None):
        """What the chart renders to."""
        argv = ["template", RELEASE, CHART, "--namespace", NAMESPACE, *flags]
        done = self.run(*argv, values=values, kubeconfig=kubeconfig)
        check(done.returncode == 0, f"helm template: {done.stderr}")
        return Rendered(manifests(done.stdout))

    def refuses(self, values, word):
        """Fails unless these values are refused, by a sentence that has the word."""
        done = self.run("template", RELEASE, CHART, values=values)
        check(done.returncode != 0, f"{values} are taken")
        check(word in done.stderr, f"{values}: {done.stderr.strip()} does not say {word!r}")


def manifests(text):
    """YAML documents that an API server would take."""
    done = subprocess.run(
        [MANIFESTS], input=text, capture_output=True, encoding="utf-8", timeout=LIMIT_S, check=False
    )
    check(done.returncode == 0, f"no API server would take it: {done.stderr.strip()}")
    return json.loads(done.stdout)


class Rendered:
    """All objects of a release."""

    def __init__(self, objects):
        self.objects = objects
        self.set = self.one("StatefulSet")
        self.pod = self.set["spec"]["template"]["spec"]
        self.hub = self.pod["containers"][0]

    def of(self, kind):
        return [found for found in self.objects if found["kind"] == kind]

    def one(self, kind):
        found = self.of(kind)
        check(len(found) == 1, f"{len(found)} {kind}s")
        return found[0]

    @property
    def args(self):
        return self.hub["args"]

    def flag(self, name):
        """What follows a flag."""
        return next(
            (arg.partition("=")[2] for arg in self.args if arg.startswith(f"{name}=")), None
        )

    def secret(self, suffix):
        return next(
            found for found in self.of("Secret") if found["metadata"]["name"].endswith(suffix)
        )

    def check(self, case, flags):
        """What has to hold whatever the values are."""
        self.check_flags(case, flags)
        self.check_names()
        self.check_files()
        self.check_pod()
        self.check_services()

    def check_flags(self, case, flags):
        for arg in self.args:
            name = arg.partition("=")[0]
            check(name in flags, f"the hub has no flag {name}")
        for start in case.has:
            check(any(arg.startswith(start) for arg in self.args), f"no {start} among {self.args}")
        for start in case.has_not:
            check(not any(arg.startswith(start) for arg in self.args), f"{start} is there")

    def check_names(self):
        """Each hub is called by the name that it has."""
        spec, listed = self.set["spec"], self.flag("--peers")
        below = f"{spec['serviceName']}.{NAMESPACE}.svc:8082"
        hubs = [f"{self.set['metadata']['name']}-{at}.{below}" for at in range(spec["replicas"])]
        if listed is not None:
            check(listed.split(",")[: len(hubs)] == hubs, f"{listed} are not {hubs}")
        elif "$(POD_NAME)" in (address := self.flag("--peer-address")):
            check(address == f"$(POD_NAME).{below}", f"{address}")
        headless = [
            found
            for found in self.of("Service")
            if found["metadata"]["name"] == spec["serviceName"]
        ]
        check(headless and headless[0]["spec"]["clusterIP"] == "None", "no headless Service")

    def check_files(self):
        """Each file that a flag names is in a Secret that is mounted."""
        mounts = {mount["name"]: mount["mountPath"] for mount in self.hub.get("volumeMounts", [])}
        volumes = {volume["name"] for volume in self.pod.get("volumes", [])}
        check(volumes == set(mounts), f"{volumes} are not what is mounted: {mounts}")
        named = {arg.partition("=")[2].rpartition("/")[0] for arg in self.args if "=/etc/" in arg}
        check(named == set(mounts.values()), f"flags name {named}, mounted is {mounts}")

    def check_pod(self):
        delay, drain = (
            int(self.flag(name)[:-1]) for name in ("--shutdown-delay", "--drain-timeout")
        )
        grace = self.pod["terminationGracePeriodSeconds"]
        check(grace >= delay + drain + GRACE_S, f"{grace} s is too short for {delay} and {drain} s")
        check(IMAGE.fullmatch(self.hub["image"]), f"{self.hub['image']} is no image")
        may = self.hub["securityContext"]
        check(may["capabilities"] == {"drop": ["ALL"]} and may["readOnlyRootFilesystem"], f"{may}")
        check(self.pod["securityContext"]["runAsNonRoot"], "it may be root")
        check(self.pod["automountServiceAccountToken"] is False, "the token is mounted")

    def check_services(self):
        """All that selects pods selects these; of ports, those that are there."""
        labels = self.set["spec"]["template"]["metadata"]["labels"].items()
        ports = {port["name"] for port in self.hub["ports"]}
        wanted = [found["spec"]["selector"] for found in self.of("Service")]
        wanted += [
            found["spec"]["selector"]["matchLabels"] for found in self.of("PodDisruptionBudget")
        ]
        wanted += [
            found["spec"]["podSelector"]["matchLabels"] for found in self.of("NetworkPolicy")
        ]
        wanted += [
            found["labelSelector"]["matchLabels"]
            for found in self.pod.get("topologySpreadConstraints", [])
        ]
        for selector in wanted:
            check(selector.items() <= labels, f"{selector} selects no hub")
        targets = {
            port["targetPort"] for found in self.of("Service") for port in found["spec"]["ports"]
        }
        targets |= {
            self.hub[probe]["httpGet"]["port"] for probe in ("readinessProbe", "livenessProbe")
        }
        check(targets <= ports, f"{targets} are not among {ports}")
        for monitor in self.of("ServiceMonitor"):
            wanted = monitor["spec"]["selector"]["matchLabels"].items()
            seen = [
                found
                for found in self.of("Service")
                if wanted <= found["metadata"]["labels"].items()
            ]
            named = {port["name"] for found in seen for port in found["spec"]["ports"]}
            check(
                len(seen) == 1 and monitor["spec"]["endpoints"][0]["port"] in named,
                "nothing is scraped",
            )


def flags_of(program):
    """The flags that a program has."""
    done = subprocess.run(
        [program, "--help"], capture_output=True, encoding="utf-8", timeout=LIMIT_S, check=True
    )
    return set(re.findall(r"^\s+(?:-\w, )?(--[a-z-]+)", done.stdout, re.MULTILINE))


def check_sources():
    """The chart is of this version, and says what each value is."""
    version = tomllib.loads((REPO / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    says = f'appVersion: "{version}"'
    check(says in (CHART / "Chart.yaml").read_text(), f"Chart.yaml has another version than {says}")
    untold = list(untold_values((CHART / "values.yaml").read_text().splitlines()))
    check(not untold, f"values.yaml does not say what these are: {untold}")


def untold_values(lines):
    """Values without a comment on the line before. What is Kubernetes' own has one for all of it."""
    top = ""
    for before, line in itertools.pairwise(lines):
        key = re.match(r"^( *)(\w+):(.*)", line)
        if not key:
            continue
        top = top if key[1] else key[2]
        is_told = before.lstrip().startswith("#") or top.lower().endswith("securitycontext")
        if key[3] and not is_told:
            yield key[2]


def examples():
    """The YAML in the docs: manifests of each block, and values."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    return [block for block in blocks if "apiVersion:" in block], [
        block for block in blocks if "apiVersion:" not in block
    ]
