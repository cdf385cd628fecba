"""What no generator can make up: tokens that verify, sessions that are there, keys that are keys.

What a request names exists every other time; then a right request has to succeed. What is relative to the clock is
put in relation to it. In a request that is meant to be wrong, what is wrong stays and all else is put right, so that
it is refused for what it is meant to be refused for. `is_answered_for_what_it_is` holds the answers to both.
"""

import collections
import enum
import itertools
import json
import os
import pathlib
import time
from urllib.parse import quote

import requests
import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode
from schemathesis.generation.meta import REQUEST_SHAPE_PROBES, TestPhase

PATH, QUERY, BODY = ParameterLocation.PATH, ParameterLocation.QUERY, ParameterLocation.BODY
world = json.loads(pathlib.Path(os.environ["ANNUL_WORLD"]).read_text())
CLIENT, SCOPE = world["client"]["id"], "orders.read"
# A client that proves nothing, for logins, and those without which the run itself would be refused.
PUBLIC = "app"
OURS = {CLIENT, PUBLIC, "admin"}
PASSWORD = "correct horse battery staple"
HTTP = requests.Session()
HTTP.auth = (CLIENT, world["client"]["secret"])
HTTP.verify = world["root"]
# What schemathesis.toml has for an access token.
STAND_IN = "Bearer stand-in"
# Bytes of the longest name, and what stands in none.
LONGEST, CONTROLS = 512, {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))}

# Refused whatever is put in, or until a time: schemathesis.toml says why.
UNPROMISED = {
    "GET /.well-known/oauth-authorization-server/{path}", "POST /v1/keys/rotate", "POST /v1/keys/subject-secret",
    "POST /v1/subjects/{subject}/key",
}
# What earlier answers named may be there, and of another kind, or revoked.
SETTLED = {"PUT /v1/clients/{client_id}", "POST /v1/sessions/{sid}/token"}
# The codes of what is wrong with the request itself, whatever is there.
OF_FORM = {
    "request_malformed", "request_unknown_field", "request_invalid", "request_ambiguous", "body_too_large",
    "media_type_unsupported", "not_found", "password_length", "target_invalid", "claim_reserved", "entry_count",
    "record_field_unknown", "nothing_named", "audience_refused", "unsupported_grant_type", "key_refused",
    "url_refused", "auth_time_out_of_range",
}
# The codes of a name that nothing can have, which is as unknown as any other.
OF_NAMES = {"account_unknown", "client_unknown", "issuer_unknown", "invalid_credentials"}

numbers = itertools.count()


class There(enum.Enum):
    """Whether what a request names exists; what was made up for it may or may not."""

    YES, NO, MADE_UP = range(3)


turns = collections.defaultdict(lambda: itertools.cycle([There.YES, There.NO, There.YES, There.MADE_UP]))
# The requests of which all that they name exists, by the ids of their cases.
promised = set()


def sent(method, path, body):
    answer = HTTP.request(method, world["issuer"] + path, json=body)
    assert answer.status_code < 300, f"{path}: {answer.status_code} {answer.text}"
    return answer.json()


def post(path, body):
    return sent("POST", path, body)


def fresh(kind):
    """A name that nothing has."""
    return f"{kind}-{next(numbers)}"


def nobody(name):
    """What a parameter of that name may be, and nothing is."""
    return {"position": "1:999999999", "target": f"key:{fresh('key')}"}.get(name) or fresh(name)


def anew(name):
    """The same name, as nothing has it."""
    end = fresh("")
    return name[: LONGEST - len(end)] + end


def session(subject=None, **more):
    """A new session, of a subject that has no other unless it is named."""
    return post("/v1/sessions", {"subject": subject or fresh("subject"), "scope": SCOPE, **more})


def owner(name):
    """The one named, if there can be one of that name."""
    is_name = isinstance(name, str) and not set(name) & CONTROLS and 0 < len(name.encode()) <= LONGEST
    return name if is_name else None


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


def client(method="client_secret_basic"):
    """A new client that proves itself by a secret, or, for a method that needs none, by nothing."""
    name = fresh("client")
    method = method if str(method).startswith("client_secret_") else "none"
    post("/v1/clients", {"client_id": name, "scopes": [SCOPE], "token_endpoint_auth_method": method})
    return name


def issuer():
    name = f"https://{fresh('issuer')}.example"
    post("/v1/issuers", {"issuer": name, "jwks": {"keys": [world["jwk"]]}, "longest_life": 60})
    return name


def key():
    keys = HTTP.get(world["issuer"] + "/v1/keys").json()["keys"]
    return next(key["thumbprint"] for key in keys if key["state"] == "reserve")


def claim():
    sent("PUT", "/v1/settings", {"claims": ["team"], "ask_on": []})
    return "team"


post("/v1/clients", {"client_id": PUBLIC, "scopes": [SCOPE], "token_endpoint_auth_method": "none"})
PARTNER = issuer()

# What a parameter of a path or query names, and how there comes to be one.
NAMED = {
    "sid": lambda: session()["sid"], "username": account, "id": schedule, "position": position, "client_id": client,
    "kid": key, "issuer": issuer, "subject": lambda: fresh("subject"),
}
# Where a follower may stand that the feed has nothing for.
ASTRAY = itertools.cycle([dict, lambda: {"after": "999:1"}, lambda: {"after": position(), "chain": "A" * 43}])


@schemathesis.hook
def filter_case(context, case):
    body = case.body if isinstance(case.body, dict) else {}
    # The run goes on as its own clients.
    if (case.path_parameters or {}).get("client_id") in OURS:
        return False
    # An assertion is signed, with a key that Schemathesis has not; conformance/clients sends some.
    return not (body.get("assertion") and str(body.get("grant_type")).endswith("jwt-bearer"))


def is_probe(case):
    """Whether the method or the media type is what is tried."""
    return getattr(case.meta.phase.data, "scenario", None) in REQUEST_SHAPE_PROBES


def is_stateful(case):
    return case.meta.phase.name == TestPhase.STATEFUL


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or is_probe(case):
        return
    label, is_wrong = case.operation.label, case.meta.generation.mode.is_negative
    if is_wrong or label in SETTLED and is_stateful(case):
        there = There.YES
    else:
        # One request after another names what the answers to those before did.
        there = There.MADE_UP if is_stateful(case) else next(turns[label])
    body = case.body if isinstance(case.body, dict) else {}
    put_right(case, PATH, of_path(label, dict(case.path_parameters or {}), body, there))
    put_right(case, QUERY, of_query(label, dict(case.query or {}), there))
    if isinstance(case.body, dict):
        put_right(case, BODY, of_body(case, dict(case.body), there))
    if (case.headers or {}).get("Authorization") == STAND_IN:
        # A session of its own, for the answer may end it.
        case.headers["Authorization"] = "Bearer " + session(device={"id": "phone"})["access_token"]
    if "Idempotency-Key" in (case.headers or {}) and not case.meta.is_negative_at(ParameterLocation.HEADER):
        # It names one attempt.
        case.headers["Idempotency-Key"] = case.headers["Idempotency-Key"][:200] + fresh("")
    # What is put in is what the document allows, and what is wrong is wrong still.
    assert case.meta.generation.mode.is_negative == is_wrong, f"{label} is not meant so any more: {case!r}"
    if there is There.YES and not is_wrong and label not in UNPROMISED:
        promised.add(case.id)


def put_right(case, location, wanted):
    """Puts the members that are wanted in place of what was made up. Where something is wrong with these, it stays:
    each member only if what they are together is wrong without its old value too."""
    given = case.get_container(location)
    if not case.meta.is_negative_at(location):
        # Values of paths are escaped already, and 2 is the same as 2.0 here.
        if location == BODY or (given or {}) != wanted:
            setattr(case, location.container_name, wanted)
        return
    kept = dict(given or {})
    for name in kept | wanted:
        tried = {**kept, name: wanted.get(name)}
        if name not in wanted:
            del tried[name]
        setattr(case, location.container_name, tried)
        if case.meta.is_negative_at(location):
            kept = tried
    setattr(case, location.container_name, kept if kept != (given or {}) else given)
    # Repeated parameters, for one, look right from here.
    meta = case.meta
    meta.components[location].mode = meta.generation.mode = GenerationMode.NEGATIVE


@schemathesis.check
def is_answered_for_what_it_is(ctx, response, case):
    """A request of which everything exists succeeds, and a wrong one is refused for what is wrong with it."""
    if case.meta is None or is_probe(case):
        return
    status, label = response.status_code, case.operation.label
    if case.id in promised:
        assert 200 <= status < 400, f"all that it names exists, and it was answered {status}: {response.text}"
    elif case.meta.generation.mode.is_negative and status >= 400:
        names = case.meta.is_negative_at(PATH) or label in {"DELETE /v1/issuers", "POST /v1/login"}
        code = response.json()["code"]
        assert code in (OF_FORM | OF_NAMES if names else OF_FORM), f"refused for something else: {response.text}"


def of_path(label, wanted, body, there):
    # A session that is kept is of somebody who is there.
    if there is There.YES or isinstance(body.get("keep"), str):
        for name in set(wanted) & set(NAMED):
            wanted[name] = NAMED[name]()
        if label == "DELETE /v1/subjects/{subject}/block":
            wanted["subject"] = blocked()
        if label == "PUT /v1/clients/{client_id}":
            # Whether it has a secret is settled when it is made.
            wanted["client_id"] = client(body.get("token_endpoint_auth_method", "client_secret_basic"))
    elif there is There.NO or label in SETTLED:
        wanted |= {name: nobody(name) for name in set(wanted) & set(NAMED)}
    if label in {"POST /v1/subjects/{subject}/credential-changed", "POST /v1/subjects/{subject}/lookup-id"}:
        # Earlier requests blocked others or retired their ids.
        wanted["subject"] = fresh("subject")
    return wanted


def of_query(label, wanted, there):
    # The audit is searched for positions and subjects, and says of none that it is not there.
    if label != "GET /v1/audit" and there is not There.MADE_UP:
        is_there = there is There.YES
        wanted |= {name: NAMED[name]() if is_there else nobody(name) for name in set(wanted) & set(NAMED)}
        if isinstance(wanted.get("target"), str):
            wanted["target"] = known(wanted["target"]) if is_there else nobody("target")
    if label == "DELETE /v1/subjects/{subject}/block" and there is There.YES:
        wanted.pop("issuer", None)
    if label == "GET /v1/feed/changes":
        # Nobody waits for what nobody does.
        wanted.pop("wait", None)
        if there is There.YES:
            wanted.pop("after", None)
            wanted.pop("chain", None)
        elif "after" in wanted:
            # As it was made up, ahead of the log, or in another history of it.
            wanted |= next(ASTRAY)()
    elif "wait" in wanted:
        wanted["wait"] = "10ms"
    if label == "GET /v1/audit/exposure" and "to" in wanted:
        span = [str(wanted.get("from", 0)), str(wanted["to"])]
        if all(map(str.isdecimal, span)):
            wanted["from"], wanted["to"] = sorted(map(int, span))
    if label == "GET /oauth2/logout":
        logout(wanted)
    return wanted


def parts(target):
    """Whose the target is, where it says so, and what it is."""
    whose, slash, what = target.partition("/") if target.startswith("issuer:") else ("", "", target)
    return whose + slash, what


def known(target):
    """The target, with an issuer, a key and a claim that there are."""
    whose, what = parts(target)
    if whose:
        # Its key may have been killed, so a key is of another.
        name = issuer() if what.startswith("key:") else PARTNER
        whose = f"issuer:{quote(name, safe=':')}" + "/" * whose.endswith("/")
    if what.startswith("key:"):
        what = "key:" + (world["jwk"]["kid"] if whose else key())
    if what.startswith("claim:"):
        what = f"claim:{claim()}=" + what.partition("=")[2]
    return whose + what


def of_body(case, wanted, there):
    label, path = case.operation.label, case.operation.path
    if path == "/oauth2/logout":
        logout(wanted)
    elif path.startswith("/oauth2/"):
        form(wanted)
    else:
        wanted = carried(wanted)
        members(path, case.path_parameters or {}, wanted)
        if there is There.YES:
            existing(label, wanted)
        elif there is There.NO:
            missing(label, wanted)
    return wanted


def carried(value):
    """The same with 2 for 2.0, which JSON Schema counts among the whole numbers, and the server does not."""
    if isinstance(value, dict):
        return {name: carried(member) for name, member in value.items()}
    if isinstance(value, list):
        return [carried(member) for member in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**64 else value


def logout(parameters):
    parameters["id_token_hint"] = session(client_id=CLIENT)["access_token"]
    for name, value in {"client_id": CLIENT, "post_logout_redirect_uri": world["redirect"]}.items():
        if parameters.get(name):
            parameters[name] = value


def form(body):
    # The client proves itself by the header.
    for name in ("client_id", "client_secret", "client_assertion", "client_assertion_type"):
        body.pop(name, None)
    for name in ("token", "subject_token", "actor_token"):
        if body.get(name):
            body[name] = session()["access_token"]
    if body.get("scope"):
        body["scope"] = SCOPE
    if body.get("refresh_token"):
        body["refresh_token"] = session(refresh_token=True)["refresh_token"]


def members(path, parameters, body):
    """Puts what is there, or allowed at this time, in the place of what was made up."""
    # Accounts and clients share their names, and a name is given once; a subject may have been blocked.
    name = {"/v1/accounts": "username", "/v1/clients": "client_id", "/v1/sessions": "subject"}.get(path)
    if isinstance(body.get(name), str):
        body[name] = anew(body[name])
    # Reports that came in before name verifiers that nobody runs: whoever waits for them waits long.
    if body.get("wait") is not None or path == "/v1/doctor":
        body["wait"] = 10
    if isinstance(body.get("token"), str) and body["token"]:
        body["token"] = session()["access_token"]
    if len(json.dumps(body.get("claims"))) > 2000:
        # Together they are bounded in bytes.
        body["claims"] = {}
    if isinstance(body.get("auth_time"), int):
        body["auth_time"] = int(time.time()) - 60
    if isinstance(body.get("replaces"), str):
        body["replaces"] = session(owner(body.get("subject")))["sid"]
    if isinstance(body.get("keep"), str):
        body["keep"] = session(owner(parameters.get("username") or parameters.get("subject")))["sid"]
    if isinstance(body.get("jwks"), dict) or isinstance(body.get("jwks_uri"), str):
        # What is elsewhere would have to be fetched there; the tests of issuers do.
        body.pop("jwks_uri", None)
        body["jwks"] = {"keys": [world["jwk"]]}
    if isinstance(body.get("tls_client_auth_subject_dn"), str):
        body["tls_client_auth_subject_dn"] = "CN=shop,O=Example"
    if path == "/v1/settings":
        # The claims that ask are among the claims, and others were before.
        body["ask_on"] = (body.get("claims") or [])[:1] if isinstance(body.get("claims"), list | None) else []
    if path == "/v1/revocations/lift":
        body["positions"] = [position()]
    if path == "/v1/revocations" and any(str(target).startswith("issuer") for target in body.get("targets") or []):
        # Nothing could be issued after it.
        body["cutoff"] = "now"
    if path == "/v1/login" and body.get("client_id") is not None:
        body["client_id"] = PUBLIC


def existing(label, body):
    if label == "POST /v1/login":
        body.update(username=account(), password=PASSWORD)
    if label.startswith("POST /v1/accounts/{username}/"):
        body["current" if label.endswith("/password") else "password"] = PASSWORD
    if label == "POST /v1/subjects/{subject}/block" and isinstance(body.get("issuer"), str):
        body["issuer"] = PARTNER
    if label == "POST /v1/revocations":
        # What goes with every target, and one key at a time.
        for name in set(body) - {"targets", "token", "reason", "wait", "dry_run"}:
            del body[name]
        if isinstance(body.get("targets"), list):
            targets = [known(target) if isinstance(target, str) else target for target in body["targets"]]
            keys = [target for target in targets if parts(str(target))[1].startswith("key:")]
            body["targets"] = [target for target in targets if target not in keys] + keys[:1]


def missing(label, body):
    if label == "POST /v1/subjects/{subject}/block":
        body["issuer"] = nobody("issuer")
    if label == "POST /v1/revocations" and body.get("targets"):
        body["targets"] = [nobody("target")]
