"""Runs Schemathesis over the document of a running authority.

Reads what the world is from the file named. Ends with an exception when a check failed, and when what ran is not
what should have run: every operation of the document but those that schemathesis.toml takes out, each of them
answered with success at least once but for those listed there, and each refusal that is allowed there met. The last
line is a count of what ran, as JSON.
"""

import collections
import json
import os
import pathlib
import subprocess
import sys
import tomllib

import requests

HERE = pathlib.Path(__file__).parent
# The choices of a run, so that each makes the same. What the authority makes up, such as ids, differs still.
SEED = os.environ.get("SEED", "1747")

world_path = pathlib.Path(sys.argv[1])
world = json.loads(world_path.read_text())
events = world_path.with_name("schemathesis.ndjson")
document = requests.get(world["issuer"] + "/openapi.json", verify=world["root"]).json()
operations = {
    f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item
}
config = tomllib.loads((HERE / "schemathesis.toml").read_text())
left_out = {rule["include-name"] for rule in config["operations"] if rule.get("enabled") is False}
assert left_out <= operations, f"left out, and not there: {sorted(left_out - operations)}"

ran = subprocess.run(
    [
        sys.executable, "-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml", "run",
        world["issuer"] + "/openapi.json", "--max-examples", str(world["examples"]), "--seed", SEED,
        "--report", "ndjson", "--report-ndjson-path", events,
    ],
    # What it writes down stays with the world.
    cwd=world_path.parent,
    env=os.environ | {
        "ANNUL_WORLD": str(world_path), "ANNUL_ROOT": world["root"], "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0",
        "REQUESTS_CA_BUNDLE": world["root"], "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"),
        "ANNUL_CLIENT_ID": world["client"]["id"], "ANNUL_CLIENT_SECRET": world["client"]["secret"],
    },
)

# How often each operation was answered what, by whether the request was right or wrong as it was sent. Requests by
# which a check tries something of its own are not held against anything.
answers = {mode: collections.defaultdict(collections.Counter) for mode in ("positive", "negative")}
for line in events.read_text().splitlines():
    recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
    for id, interaction in recorder.get("interactions", {}).items():
        case, answer = recorder["cases"][id]["value"], interaction.get("response")
        if answer is not None and id in recorder.get("checks", {}):
            mode = case["meta"]["generation"]["mode"]
            answers[mode][f"{case['method']} {case['path']}"][answer["status_code"]] += 1


def allowed(label):
    """What a right request may be answered, by the rules for its operation."""
    check = "positive_data_acceptance"
    for rule in config["operations"]:
        named = rule["include-name"]
        if check in rule.get("checks", {}) and label in (named if isinstance(named, list) else [named]):
            return rule["checks"][check]["expected-statuses"]
    return config["checks"][check]["expected-statuses"]


def is_success(status):
    return 200 <= status < 400


for label in sorted(operations):
    print(label, {mode: dict(sorted(counts[label].items())) for mode, counts in answers.items()})
assert ran.returncode == 0, "a check failed; the requests and their answers are above"
right = answers["positive"]
driven = {label for label in operations if right[label]}
assert driven == operations - left_out, f"not driven: {sorted(operations - left_out - driven)}"
reached = {label for label in operations if any(map(is_success, right[label]))}
unreached = {label for label in operations - left_out - reached if "2xx" in allowed(label)}
assert not unreached, f"never answered with success: {sorted(unreached)}"
# Other choices may do without.
needless = {} if "SEED" in os.environ else {
    label: unused for label in operations - left_out
    if (unused := [status for status in allowed(label) if isinstance(status, int) and not right[label][status]])
}
assert not needless, f"allowed in schemathesis.toml, and not met: {needless}"
counts = {
    mode: collections.Counter(f"{status // 100}xx" for counted in labels.values() for status in counted.elements())
    for mode, labels in answers.items()
}
print(json.dumps({
    "operations": len(operations), "left_out": len(left_out), "driven": len(driven), "answers": counts,
}))
