#!/usr/bin/env python3
"""Writes decisions.json: token, keys, records, moment and policy -> verdict and decision.

    pip install blake3 cryptography && python3 make_decisions.py       (--check compares only)

None of annul's code takes part: tokens are signed, targets hashed and outcomes written down here.
A runner for any language feeds `records` into an empty view, confirms `confirmed` (head, how many
seconds before `now`), verifies `token` at `now` for the audience, checks it and decides by `policy`.
The private keys below are for these vectors and sign nothing else.
"""

import base64
import json
import pathlib
import struct
import sys

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hashlib import sha256

HERE = pathlib.Path(__file__).parent
OWN = "https://id.example"
FOREIGN = "https://idp.example"
GONE = "https://gone.example"
AUDIENCE = "api"
HASH_KEY = bytes(range(32))
NOW = 1_800_000_000
TAGS = {
    "issuer": 1, "subject": 2, "client": 3, "subject_client": 4, "device": 5, "session": 6,
    "token": 7, "token_hash": 8, "key": 9, "confirmation": 10, "claim": 11,
}  # fmt: skip


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def compact(value) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


class Key:
    def __init__(self, kid: str | None, seed: int):
        self.kid = kid
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        x = b64(self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
        self.jwk = {"crv": "Ed25519", "kid": kid, "kty": "OKP", "x": x}
        self.thumbprint = b64(sha256(compact({"crv": "Ed25519", "kty": "OKP", "x": x}).encode()).digest())

    def sign(self, header: dict, claims: dict) -> str:
        signed = b64(compact(header).encode()) + "." + b64(compact(claims).encode())
        return signed + "." + b64(self.private.sign(signed.encode()))


OWN_KEY, FOREIGN_KEY, STRANGE_KEY = Key("own-1", 1), Key("idp-1", 2), Key("never-seen", 3)
# The strange key again, by no name and by that of another.
NAMELESS_KEY, FALSE_KEY = Key(None, 3), Key("own-1", 3)


def target(kind: str, *parts: str, issuer: str = OWN) -> dict:
    def prefixed(part):
        return struct.pack("<Q", len(part.encode())) + part.encode()

    issuer_key = blake3(issuer.encode(), key=HASH_KEY).digest()
    message = bytes([TAGS[kind]]) + b"".join(map(prefixed, parts))
    return {"target": b64(blake3(message, key=issuer_key).digest()[:16]), "of": kind}


# The log: three records that every case begins with, then those of the case, numbered from 1:4.
SETTINGS = {
    "revision": 1, "issuer": OWN, "longest_life": 900, "max_leeway": 60, "clock_skew": 5,
    "claims": ["tenant", "groups", "plan"], "ask_on": ["plan"],
    "hash_key": b64(blake3(HASH_KEY, derive_key_context="annul hash key id v1").digest()[:8]),
}  # fmt: skip


def issuer(name: str, keys: list, **more) -> dict:
    record = {"issuer": name, "keys": [key.jwk for key in keys], "longest_life": 900, "skew": 0, "requires_jti": name == OWN}
    return {"kind": "issuer", "issuer": record | more}


BASE = [
    {"kind": "settings", "settings": SETTINGS},
    issuer(OWN, [OWN_KEY]),
    issuer(FOREIGN, [FOREIGN_KEY], longest_life=3600, skew=2),
]


def numbered(records: list) -> list:
    return [compact({"at": f"1:{seq}"} | record) for seq, record in enumerate(records, 1)]


def revoke(what: dict, **cutoff) -> dict:
    return {"kind": "revoke"} | what | cutoff


def own_token(key: Key = OWN_KEY, lpos: str = "1:3", **changes) -> str:
    claims = {
        "iss": OWN, "sub": "alice", "aud": AUDIENCE, "exp": NOW + 600, "iat": NOW - 300, "jti": "t-1",
        "client_id": "app", "sid": "s-1", "device_id": "phone", "auth_time": NOW - 1000, "lpos": lpos,
        "cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, "tenant": "acme", "plan": "gold",
    }  # fmt: skip
    claims = {name: value for name, value in (claims | changes).items() if value is not None}
    header = {"alg": "EdDSA", "typ": "at+jwt", "kid": key.kid}
    return key.sign({name: value for name, value in header.items() if value is not None}, claims)


def foreign_token(key: Key = FOREIGN_KEY, **changes) -> str:
    claims = {"iss": FOREIGN, "sub": "bob", "aud": AUDIENCE, "exp": NOW + 600, "iat": NOW - 300, "sid": "f-1"}
    claims = {name: value for name, value in (claims | changes).items() if value is not None}
    return key.sign({"alg": "EdDSA", "kid": key.kid}, claims)


CHECK = {"consults": "check", "max_staleness": 60}


def case(name, decision, verdict=None, *, token=None, records=(), policy=CHECK, age=10, head=None, seq=None, base=BASE):
    lines = numbered([*base, *records])
    last = len(lines)
    confirmed = None if age is None else {"head": head or f"1:{last}", "seconds_ago": age}
    return {
        "name": name, "token": own_token() if token is None else token, "records": lines, "confirmed": confirmed,
        "policy": policy, "verdict": verdict, "decision": decision,
    }  # fmt: skip


ALLOW = {"allow": "checked"}
ASK = {"ask": True}


def deny(status: int, code: str) -> dict:
    return {"deny": {"status": status, "code": code}}


def revoked(kind: str, cutoff: str, at: str = "1:4") -> dict:
    return {"revoked": {"kind": kind, "cutoff": cutoff, "at": at}}


def active(at: str = "1:3") -> dict:
    return {"active": at}


def unknown(code: str) -> dict:
    return {"indeterminate": code}


REVOKED = deny(401, "token_revoked")
SUBJECT = target("subject", "alice")
NOW_ENTRY = revoke(SUBJECT, now=True, until=NOW + 1000)
ALWAYS_ENTRY = revoke(SUBJECT, always=True)
BOB = target("subject", "bob", issuer=FOREIGN)


def foreign_now(before: int) -> dict:
    return revoke(BOB, now=True, before=before, until=NOW + 5000)


def check(**more) -> dict:
    return CHECK | more


def every_target() -> list:
    names = [
        ("issuer",), ("subject", "alice"), ("client", "app"), ("subject_client", "alice", "app"),
        ("device", "alice", "phone"), ("session", "s-1"), ("token", "t-1"), ("key", OWN_KEY.thumbprint),
        ("confirmation", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"), ("claim", "tenant", "acme"),
    ]  # fmt: skip
    cases = []
    for kind, *parts in names:
        entry = revoke(target(kind, *parts), always=True)
        cases.append(case(f"always on its {kind} revokes a token", REVOKED, revoked(kind, "always"), records=[entry]))
        parts = [*parts[:-1], parts[-1] + "x"] if parts else parts
        other = revoke(target(kind, *parts, issuer=OWN if parts else FOREIGN), always=True)
        cases.append(case(f"always on another {kind} leaves a token alone", ALLOW, active("1:4"), records=[other]))
        elsewhere = revoke(target(kind, *parts, issuer=FOREIGN), always=True)
        cases.append(case(f"the same {kind} of another issuer is another target", ALLOW, active("1:4"), records=[elsewhere]))
    return cases


def cases() -> list:
    young = own_token(iat=NOW - 10)
    old = own_token(iat=NOW - 30)
    plan = revoke(target("claim", "plan", "gold"), now=True, until=NOW + 1000)
    lifted = {"kind": "lift", "cells": [SUBJECT]}
    partly = {"kind": "lift", "cells": [SUBJECT | {"position": "1:4", "until": NOW + 1000}]}
    overdue = [*BASE[:1], issuer(OWN, [OWN_KEY], keys_due=NOW - 1), BASE[2]]
    two_keys = [*BASE[:1], issuer(OWN, [OWN_KEY, FOREIGN_KEY]), BASE[2]]
    removed = issuer(FOREIGN, [FOREIGN_KEY], removed=True)
    open_120 = check(on_stale="open", open_max_age=120)
    after_30 = check(check_after=30)
    ask_after_30 = check(ask_after=30)
    key_entry = revoke(target("key", OWN_KEY.thumbprint), always=True)
    issuer_entry = revoke(target("issuer"), now=True, until=NOW + 1000)
    return [
        case("a token that nothing revokes is allowed", ALLOW, active()),
        *every_target(),
        case("now revokes what was issued before it", REVOKED, revoked("subject", "position"), records=[NOW_ENTRY]),
        case("now is strict: what its own transaction issued lives", ALLOW, active("1:4"), records=[NOW_ENTRY], token=own_token(lpos="1:4")),
        case("a login after now lives", ALLOW, active("1:5"), records=[NOW_ENTRY, {"kind": "noop"}], token=own_token(lpos="1:5")),
        case("before T revokes an older login however new its token", REVOKED, revoked("subject", "time"), records=[revoke(SUBJECT, before=NOW - 999, until=NOW + 1000)], token=own_token(lpos="1:4", iat=NOW)),
        case("before T is strict at its own second", ALLOW, active("1:4"), records=[revoke(SUBJECT, before=NOW - 1000, until=NOW + 1000)]),
        case("before T falls back to iat", REVOKED, revoked("subject", "time"), records=[revoke(SUBJECT, before=NOW - 299, until=NOW + 1000)], token=own_token(auth_time=None)),
        case("a noop revokes nothing", ALLOW, active("1:4"), records=[{"kind": "noop"}]),
        case("a lift ends what it undoes", ALLOW, active("1:5"), records=[NOW_ENTRY, lifted]),
        case("a lift replaces: what remains stands", REVOKED, revoked("subject", "position"), records=[NOW_ENTRY, ALWAYS_ENTRY, partly]),
        case("a foreign now errs to refusal by its skew", REVOKED, revoked("subject", "time"), records=[foreign_now(NOW - 301)], token=foreign_token()),
        case("a foreign token from after cutoff and skew lives", ALLOW, active("1:4"), records=[foreign_now(NOW - 302)], token=foreign_token()),
        case("a foreign token without iat is older than every cutoff", REVOKED, revoked("subject", "time"), records=[foreign_now(1)], token=foreign_token(iat=None)),
        case("a foreign token's lpos is not read", REVOKED, revoked("subject", "time"), records=[foreign_now(NOW)], token=foreign_token(lpos="9:9")),
        case("a foreign token that nothing revokes is allowed", ALLOW, active(), token=foreign_token()),
        case("a view as old as allowed vouches", ALLOW, active(), age=60),
        case("a view older than allowed is closed", deny(503, "view_stale"), active(), age=61),
        case("a view whose age was never proven is closed", deny(503, "view_stale"), active(), age=None),
        case("a stale view asks where the route says so", ASK, active(), age=61, policy=check(on_stale="ask")),
        case("a stale view stays open up to the second age", {"allow": "open"}, active(), age=120, policy=open_120),
        case("and not past it", deny(503, "view_stale"), active(), age=121, policy=open_120),
        case("an age that was never proven is past every age", deny(503, "view_stale"), active(), age=None, policy=open_120),
        case("a revoked token is refused however old the view", REVOKED, revoked("subject", "position"), records=[NOW_ENTRY], age=9999),
        case("revoked is 401, stale is 503, also on an open route", REVOKED, revoked("subject", "position"), records=[NOW_ENTRY], age=100, policy=open_120),
        case("a young token does not make an old view fresh", deny(503, "view_stale"), active(), age=61, token=young, policy=after_30),
        case("check_after passes over a position cutoff for a young token", ALLOW, revoked("subject", "position"), records=[NOW_ENTRY], token=young, policy=after_30),
        case("check_after ends with the window", REVOKED, revoked("subject", "position"), records=[NOW_ENTRY], token=old, policy=after_30),
        case("check_after does not pass over always", REVOKED, revoked("subject", "always"), records=[ALWAYS_ENTRY], token=young, policy=after_30),
        case("check_after does not pass over a killed key", REVOKED, revoked("key", "always", "1:5"), records=[NOW_ENTRY, key_entry], token=young, policy=after_30),
        case("check_after does not pass over the issuer", REVOKED, revoked("issuer", "position"), records=[issuer_entry], token=young, policy=after_30),
        case("ask_after passes over a position cutoff for a young token", ALLOW, revoked("subject", "position"), records=[NOW_ENTRY], token=young, policy=ask_after_30),
        case("ask_after asks about a token past the window that nothing revokes", ASK, active(), token=old, policy=ask_after_30),
        case("ask_after asks about a token that does not say when it was issued", ASK, active(), token=foreign_token(iat=None), policy=ask_after_30),
        case("ask_after does not ask about what is known to be revoked", REVOKED, revoked("subject", "position"), records=[NOW_ENTRY], token=old, policy=ask_after_30),
        case("ask_after does not pass over always", REVOKED, revoked("subject", "always"), records=[ALWAYS_ENTRY], token=young, policy=ask_after_30),
        case("ask_after does not pass over a killed key", REVOKED, revoked("key", "always", "1:5"), records=[NOW_ENTRY, key_entry], token=young, policy=ask_after_30),
        case("ask_after needs a fresh view for a young token", deny(503, "view_stale"), active(), age=61, token=young, policy=ask_after_30),
        case("ask_after asks about an older one however old the view", ASK, active(), age=61, token=old, policy=ask_after_30),
        case("ask_after does not ask for a young token on an ask_on claim", ALLOW, unknown("ask_required"), records=[plan], token=young, policy=ask_after_30),
        case("an introspect route asks about what it can verify too", ASK, active(), policy={"consults": "introspect"}),
        case("an introspect route does not ask about what is known to be revoked", REVOKED, revoked("subject", "position"), records=[NOW_ENTRY], policy={"consults": "introspect"}),
        case("an introspect route refuses an expired token without asking", deny(401, "token_expired"), token=own_token(exp=NOW - 5), policy={"consults": "introspect"}),
        case("an entry on an ask_on claim makes a route ask", ASK, unknown("ask_required"), records=[plan]),
        case("an entry on an ask_on claim makes a stale route ask", ASK, unknown("ask_required"), records=[plan], age=61),
        case("an entry on another value of it does not", ALLOW, active("1:4"), records=[revoke(target("claim", "plan", "silver"), always=True)]),
        case("another entry outweighs an ask_on claim", REVOKED, revoked("subject", "position", "1:5"), records=[plan, NOW_ENTRY], token=own_token()),
        case("a token of an epoch not heard of is indeterminate", deny(503, "epoch_unknown"), unknown("epoch_unknown"), token=own_token(lpos="2:1")),
        case("and is asked about where the route says so", ASK, unknown("epoch_unknown"), token=own_token(lpos="2:1"), policy=check(on_stale="ask")),
        case("and no open route takes it", deny(503, "epoch_unknown"), unknown("epoch_unknown"), token=own_token(lpos="2:1"), policy=open_120),
        case("i10 a position the log had not reached after the token's iat is indeterminate", deny(503, "position_impossible"), unknown("position_impossible"), token=own_token(lpos="1:4", iat=NOW - 16)),
        case("i10 within the skew it is only ahead of the view", ALLOW, active(), token=own_token(lpos="1:4", iat=NOW - 15)),
        case("i10 and no open route takes an impossible position", deny(503, "position_impossible"), unknown("position_impossible"), token=own_token(lpos="1:4"), age=100, policy=open_120),
        case("a token ahead of the view is checked like any other", REVOKED, revoked("subject", "always"), records=[ALWAYS_ENTRY], token=own_token(lpos="1:9", iat=NOW)),
        case("an authentication as old as allowed is enough", ALLOW, active(), policy=check(max_auth_age=1000)),
        case("an older authentication is not", deny(401, "insufficient_user_authentication"), active(), policy=check(max_auth_age=999)),
        case("a token that does not say when its user authenticated is older", deny(401, "insufficient_user_authentication"), active(), token=own_token(auth_time=None), policy=check(max_auth_age=999)),
        case("revoked outweighs too old an authentication", REVOKED, revoked("subject", "position"), records=[NOW_ENTRY], policy=check(max_auth_age=1)),
        case("a route may answer revoked with 403", deny(403, "token_revoked"), revoked("subject", "position"), records=[NOW_ENTRY], policy=check(revoked_status=403)),
        case("verify consults nothing", {"allow": "verified"}, active(), age=None, policy={"consults": "verify"}),
        case("what is known to be revoked is refused by verify too", REVOKED, revoked("subject", "position"), records=[NOW_ENTRY], age=None, policy={"consults": "verify"}),
        case("an ask route asks", ASK, active(), policy={"consults": "ask"}),
        case("an ask route does not ask about what is known to be revoked", REVOKED, revoked("subject", "position"), records=[NOW_ENTRY], policy={"consults": "ask"}),
        case("an unknown kid is refused while the view is fresh", deny(401, "key_unknown"), token=own_token(STRANGE_KEY)),
        case("an unknown kid is indeterminate while the view is stale", deny(503, "keys_unknown"), token=own_token(STRANGE_KEY), age=61),
        case("an unknown kid is indeterminate while the issuer's keys are overdue", deny(503, "keys_unknown"), token=own_token(STRANGE_KEY), base=overdue),
        case("an unknown kid of a token that expired is refused", deny(401, "token_expired"), token=own_token(STRANGE_KEY, exp=NOW - 100), age=61),
        case("a bad signature without a kid is refused while the view is fresh", deny(401, "signature_invalid"), token=own_token(NAMELESS_KEY)),
        case("a bad signature without a kid is indeterminate while the view is stale", deny(503, "keys_unknown"), token=own_token(NAMELESS_KEY), age=61),
        case("a bad signature without a kid is indeterminate while the issuer's keys are overdue", deny(503, "keys_unknown"), token=own_token(NAMELESS_KEY), base=overdue),
        case("a bad signature without a kid of a token that expired is refused", deny(401, "signature_invalid"), token=own_token(NAMELESS_KEY, exp=NOW - 60), age=61),
        case("a bad signature under a known kid is refused however old the view", deny(401, "signature_invalid"), token=own_token(FALSE_KEY), age=61),
        case("a token without a kid that several keys fit is refused while the view is fresh", deny(401, "key_ambiguous"), token=own_token(NAMELESS_KEY), base=two_keys),
        case("a token without a kid that several keys fit is indeterminate while the view is stale", deny(503, "keys_unknown"), token=own_token(NAMELESS_KEY), base=two_keys, age=61),
        case("a view that never heard of its log refuses nobody for good", deny(503, "keys_unknown"), base=[], age=None),
        case("a key of one issuer does not sign for another", deny(401, "key_unknown"), token=own_token(FOREIGN_KEY)),
        case("an expired token is refused", deny(401, "token_expired"), token=own_token(exp=NOW - 5)),
        case("another audience's token is refused", deny(401, "audience_mismatch"), token=own_token(aud="mail")),
        case("another issuer's token is refused", deny(401, "issuer_mismatch"), token=own_token(iss=GONE)),
        case("an issuer that was removed is refused", deny(401, "issuer_mismatch"), token=foreign_token(), records=[removed]),
        case("a token that outlives its issuer's longest life is refused", deny(401, "life_too_long"), token=own_token(exp=NOW + 906)),
        case("a token that outlives it is indeterminate while the view is stale", deny(503, "longest_life_unknown"), token=own_token(exp=NOW + 906), age=61),
        case("a token that outlives it is refused while only the issuer's keys are overdue", deny(401, "life_too_long"), token=own_token(exp=NOW + 906), base=overdue),
        case("an own token without lpos is refused", deny(401, "claim_invalid"), token=own_token(lpos=None)),
        case("a token with more targets than a view probes is refused, not cut", deny(401, "too_many_targets"), unknown("too_many_targets"), token=own_token(groups=[f"g{n}" for n in range(60)])),
    ]  # fmt: skip


def main() -> int | str:
    content = {
        "v": 0, "now": NOW, "issuer": OWN, "audience": AUDIENCE, "foreign": [FOREIGN], "leeway": 5,
        "hash_key": HASH_KEY.hex(), "cases": cases(),
    }  # fmt: skip
    text = json.dumps(content, indent=1, ensure_ascii=True) + "\n"
    path = HERE / "decisions.json"
    if "--check" in sys.argv:
        return 0 if path.read_text() == text else "decisions.json differs from what make_decisions.py computes"
    path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
