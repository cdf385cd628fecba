"""What no generator can make up: tokens that verify, sessions that are there, keys that are keys.

Requests that are meant to be wrong are sent as they were made. Of those that are meant to be right, a member
that names something gets the name of something that exists, and what is relative to the clock is put in relation
to it. Ids in paths exist every other time, so that both answers are seen.
"""

import itertools
import json
import os
import pathlib
import time

import requests
import schemathesis

world = json.loads(pathlib.Path(os.environ["ANNUL_WORLD"]).read_text())
CLIENT, SUBJECT, SCOPE = world["client"]["id"], "alice", "orders.read"
# A client that proves nothing, for logins, and those without which the run itself would be refused.
PUBLIC = "app"
OURS = {CLIENT, PUBLIC, "admin"}
PASSWORD = "correct horse battery staple"
HTTP = requests.Session()
HTTP.auth = (CLIENT, world["client"]["secret"])
HTTP.verify = world["root"]
# What schemathesis.toml has for an access token.
STAND_IN = "Bearer stand-in"
turn = itertools.count()


def post(path, body):
    answer = HTTP.post(world["issuer"] + path, json=body)
    assert answer.status_code < 300, f"{path}: {answer.status_code} {answer.text}"
    return answer.json()


post("/v1/clients", {"client_id": PUBLIC, "scopes": [SCOPE], "token_endpoint_auth_method": "none"})


def session(subject=SUBJECT, **more):
    """A new session of the subject's."""
    return post("/v1/sessions", {"subject": subject, "scope": SCOPE, **more})


def fresh(kind):
    """A name that nothing has."""
    return f"{kind}-{next(turn)}"


def account():
    """A new account, by its name; all have the same password."""
    name = fresh("user")
    post("/v1/accounts", {"username": name, "password": PASSWORD})
    return name


def blocked():
    name = fresh("subject")
    post(f"/v1/subjects/{name}/block", {})
    return name


def schedule():
    later = {"targets": ["subject:nobody"], "at": int(time.time()) + 3600}
    return post("/v1/revocations", later)["schedule"]


def position():
    return post("/v1/revocations", {"targets": ["subject:nobody"]})["position"]


def client():
    name = fresh("client")
    post("/v1/clients", {"client_id": name, "scopes": [SCOPE]})
    return name


def issuer():
    name = f"https://{fresh('issuer')}.example"
    post("/v1/issuers", {"issuer": name, "jwks": {"keys": [world["jwk"]]}, "longest_life": 60})
    return name


def key():
    keys = HTTP.get(world["issuer"] + "/v1/keys").json()["keys"]
    return next(key["thumbprint"] for key in keys if key["state"] == "reserve")


# What a parameter of a path or query names, and how there comes to be one.
NAMED = {
    "sid": lambda: session()["sid"], "username": account, "id": schedule, "position": position, "client_id": client,
    "kid": key, "issuer": issuer, "subject": lambda: fresh("subject"),
}


def is_positive(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


@schemathesis.hook
def filter_case(context, case):
    body = case.body if isinstance(case.body, dict) else {}
    # The run goes on as its own clients.
    if (case.path_parameters or {}).get("client_id") in OURS:
        return False
    # An assertion is signed; conformance/clients sends some.
    return not (is_positive(case) and str(body.get("grant_type")).endswith("jwt-bearer"))


@schemathesis.hook
def before_call(context, case, kwargs):
    if not is_positive(case):
        return
    exists = next(turn) % 2 == 0
    parameters(case, exists)
    if (case.headers or {}).get("Authorization") == STAND_IN:
        # A session of its own, for the answer may end it.
        case.headers["Authorization"] = "Bearer " + session(device={"id": "phone"})["access_token"]
    if "Idempotency-Key" in (case.headers or {}):
        # It names one attempt.
        case.headers["Idempotency-Key"] = case.headers["Idempotency-Key"][:200] + fresh("")
    if not isinstance(case.body, dict):
        return
    if case.operation.path == "/oauth2/logout":
        logout(case.body)
    elif case.operation.path.startswith("/oauth2/"):
        form(case.body)
    else:
        case.body = carried(case.body)
        members(case.operation.path, case.path_parameters or {}, case.body)
        if exists:
            existing(case.operation.label, case.body)


def parameters(case, exists):
    case.query = case.query or {}
    path, query, of_path = case.operation.path, case.query, case.path_parameters or {}
    if exists:
        # The audit is searched for positions, and says of none that it is not there.
        for named in (of_path, query if path != "/v1/audit" else {}):
            for name in set(named) & set(NAMED):
                named[name] = NAMED[name]()
        if case.operation.label == "DELETE /v1/subjects/{subject}/block":
            of_path["subject"] = blocked()
            query.pop("issuer", None)
    if path == "/v1/feed/changes":
        # Nobody waits for what nobody does.
        query.pop("wait", None)
        if exists:
            query.pop("after", None)
            query.pop("chain", None)
    elif "wait" in query:
        query["wait"] = "10ms"
    if path == "/v1/audit/exposure" and "to" in query:
        query["from"], query["to"] = sorted([int(query.get("from", 0)), int(query["to"])])
    if case.operation.label == "GET /oauth2/logout":
        logout(query)


def carried(value):
    """The same in numbers that everybody reads alike: 2 for 2.0, which JSON Schema counts among the integers, and
    none beyond a double (RFC 8259 §6)."""
    if isinstance(value, dict):
        return {name: carried(member) for name, member in value.items()}
    if isinstance(value, list):
        return [carried(member) for member in value]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if not isinstance(value, int) or abs(value) < 2**64 else 0


def logout(parameters):
    parameters["id_token_hint"] = session(client_id=CLIENT)["access_token"]
    for name, value in {"client_id": CLIENT, "post_logout_redirect_uri": world["redirect"]}.items():
        if name in parameters:
            parameters[name] = value


def form(body):
    # The client proves itself by the header, and nobody acts for anybody.
    for name in ("client_id", "client_secret", "client_assertion", "client_assertion_type", "actor_token",
                 "actor_token_type"):
        body.pop(name, None)
    for name in ("token", "subject_token"):
        if name in body:
            body[name] = session()["access_token"]
    if "scope" in body:
        body["scope"] = SCOPE
    if "resource" in body:
        body["resource"] = "https://orders.example/"
    if body.get("grant_type") == "refresh_token":
        body["refresh_token"] = session(refresh_token=True)["refresh_token"]
        body.pop("audience", None)
        body.pop("resource", None)


def members(path, parameters, body):
    """Puts what is there, or allowed at this time, in the place of what was made up."""
    # Reports that came in before name verifiers that nobody runs: whoever waits for them waits long.
    if "wait" in body or path == "/v1/doctor":
        body["wait"] = 10
    if isinstance(body.get("token"), str) and body["token"]:
        body["token"] = session()["access_token"]
    if len(json.dumps(body.get("claims"))) > 2000:
        # Together they are bounded in bytes.
        body["claims"] = {}
    if isinstance(body.get("auth_time"), int):
        body["auth_time"] = int(time.time()) - 60
    if isinstance(body.get("replaces"), str):
        body["replaces"] = session(body["subject"])["sid"]
    if isinstance(body.get("keep"), str):
        body["keep"] = session(parameters.get("username") or parameters.get("subject") or SUBJECT)["sid"]
    if isinstance(body.pop("jwks_uri", None), str) or isinstance(body.get("jwks"), dict):
        body["jwks"] = {"keys": [world["jwk"]]}
    if isinstance(body.get("tls_client_auth_subject_dn"), str):
        body["tls_client_auth_subject_dn"] = "CN=shop,O=Example"
    if path == "/v1/settings":
        # The claims that ask are among the claims, and others were before.
        body["ask_on"] = (body.get("claims") or [])[:1]
    if path == "/v1/revocations/lift":
        body["positions"] = [position()]
    if path == "/v1/revocations" and any(target.startswith("issuer") for target in body.get("targets", [])):
        # Nothing could be issued after it.
        body["cutoff"] = "now"
    if path == "/v1/login" and body.get("client_id") is not None:
        body["client_id"] = PUBLIC
    # Accounts and clients share their names, and a name is given once.
    for name in {"/v1/accounts": ["username"], "/v1/clients": ["client_id"]}.get(path, []):
        if len(body[name]) < 100:
            body[name] += fresh("")


def existing(operation, body):
    if operation == "POST /v1/login":
        body.update(username=account(), password=PASSWORD)
    if operation.startswith("POST /v1/accounts/{username}/"):
        body["current" if "current" in body else "password"] = PASSWORD
    if operation == "POST /v1/revocations":
        # What goes with every target.
        for name in set(body) - {"targets", "token", "reason", "wait", "dry_run"}:
            del body[name]
