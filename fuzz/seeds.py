#!/usr/bin/env python3
"""Writes the seeds from which every fuzz target starts: the vectors and goldens of conformance/, one file
each, and a few scripts for the follower. What the fuzzer itself found stands beside them in corpus/.

With --check it fails if a seed is missing or is not what this program writes."""

import base64
import hashlib
import json
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
CONFORMANCE = HERE.parent / "conformance"
FORMATS = CONFORMANCE / "formats" / "v0"

# The follower's steps in their order (src/follower.rs), read by the crate `arbitrary`: a variant is the
# upper part of its 32-bit number times the number of variants.
STEPS = ["introduction", "snapshot", "changes", "event", "answer", "raw", "refused", "failed", "stream_opened",
         "stream_closed", "ahead", "pass", "restart"]
WHOLE = b"\0"  # no damage


def step(name, *fields):
    number = -(-(STEPS.index(name) << 32) // len(STEPS))
    return struct.pack("<I", number) + b"".join(fields)


def origin(forked, seq):
    return bytes([forked, seq])


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def tokens():
    for case in json.loads((CONFORMANCE / "tokens.json").read_text())["cases"]:
        if len(case["token"]) < 2048:
            yield case["token"].encode()


def signed_tokens():
    claims = {"iss": "https://idp.example", "sub": "bob", "aud": ["https://api.example", "other"], "exp": 1800000300,
              "iat": 1799999990, "nbf": 1799999990, "jti": "f-1", "sid": "s", "client_id": "web", "device_id": "phone",
              "scope": "read write", "cnf": {"jkt": "abc"}, "auth_time": 1799999000.5, "tenant": ["acme", 7, True]}
    for header in ({"alg": "HS256"}, {"alg": "HS256", "typ": "at+jwt", "kid": "shared"}, {"alg": "HS256", "crit": []}):
        yield b"\n".join(json.dumps(part).encode() for part in (header, claims))
    few = {name: claims[name] for name in ("iss", "aud", "exp")}
    yield b"\n".join(json.dumps(part, separators=(",", ":")).encode() for part in ({"alg": "HS256"}, few))
    for token in tokens():
        parts = token.decode(errors="ignore").split(".")
        if len(parts) == 3:
            try:
                header, payload = (decoded(part) for part in parts[:2])
            except ValueError:
                continue
            if b"\n" not in header and len(payload) < 1024:
                yield header + b"\n" + payload


def proofs():
    # The public key of the seed 32 times 7 (src/proof.rs), and the hash of its access token.
    key = {"kty": "OKP", "crv": "Ed25519", "x": "6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw"}
    ath = base64.urlsafe_b64encode(hashlib.sha256(b"an access token").digest()).rstrip(b"=").decode()
    claims = {"jti": "p-1", "iat": 1800000000, "htm": "POST", "htu": "https://auth.example/oauth2/token", "ath": ath}
    headers = [{"alg": "EdDSA", "typ": "dpop+jwt", "jwk": key},
               {"typ": "application/DPoP+jwt", "alg": "EdDSA", "jwk": {**key, "use": "sig", "alg": "EdDSA"}},
               {"typ": "dpop+jwt", "alg": "EdDSA", "jwk": {**key, "d": key["x"]}}]
    addresses = ["HTTPS://Auth.Example:443/a/../oauth2/%74oken?x#y", "https://auth.example:0443/oauth2/token",
                 "https://auth.example//oauth2/token", "https://auth.example/oauth2/token/.",
                 "HTTPS://Auth.Example:443/[/../oauth2/%74oken?x#y"]
    for header in headers:
        yield b"\n".join(json.dumps(part).encode() for part in (header, claims))
    for address in addresses:
        yield b"\n".join(json.dumps(part).encode() for part in (headers[0], {**claims, "htu": address, "nonce": "n"}))


def key_sets():
    for keys in json.loads((CONFORMANCE / "tokens.json").read_text())["keys"].values():
        yield json.dumps(keys, separators=(",", ":")).encode()


def lines(*names):
    for name in names:
        yield from (FORMATS / name).read_bytes().splitlines()


def records():
    yield from lines("records.ndjson", "read-alike.ndjson")
    for refused in json.loads((FORMATS / "refused.json").read_text()):
        yield refused["line"].encode()
    yield b'{"at":"1:7","kind":"quarantine","until":1795E309999}'
    yield b'{"target":"AAECAwQFBgcICQoLDA0ODw","of":"subject","time":7,"time_at":"1:6","until":9}'


def golden(name):
    return json.loads((FORMATS / "feed.json").read_text())[name].encode()


def frames():
    yield golden("frame")
    yield b"\n".join(lines("records.ndjson"))
    yield b'{"at":"1:1","kind":"noop"}'
    vectors = json.loads((FORMATS / "feed.json").read_text())
    until_the_head = vectors["frame"].splitlines()[:-1]
    epoch = {"epoch_kind": "failover", "fork": "1:3", "fork_chain": vectors["chain"]}
    lines_on = [{"at": "2:1", "kind": "epoch", "epoch": epoch}, {"at": "2:2", "kind": "noop"}]
    yield "\n".join([*until_the_head, *map(json.dumps, lines_on)]).encode()


def snapshots():
    whole = base64.urlsafe_b64decode(golden("snapshot") + b"==")
    yield whole
    header, cells = whole.split(b"\n", 1)
    header = json.loads(header)["snapshot"]
    yield json.dumps({**header, "cells": 1 << 62}).encode() + b"\n" + cells
    yield json.dumps({**header, "cells": 0}).encode() + b"\n"
    for name in ("state", "stored_state"):
        if name in json.loads((FORMATS / "feed.json").read_text()):
            yield golden(name)


def streams():
    frame = golden("frame").decode().splitlines()
    event = "event: frame\nid: 1:3\n" + "".join(f"data: {line}\n" for line in frame) + "\n"
    for how in (1, 7, 64):
        yield bytes([how]) + event.encode()
    yield b"\x05\xef\xbb\xbfdata: a\r\ndata\rid:1\r\n: comment\n\nretry: 3\nid: \0\ndata:  b\n\n"
    yield b"\xfbdata: bounded\n"
    yield b"\xf9x"
    yield b"\xffid: " + b"7" * 1900 + b"\n" + b"data\n\n" * 320


def followers():
    told = step("introduction", origin(0, 12), b"\1")
    first = told + step("snapshot", origin(0, 4), WHOLE) + step("stream_opened")
    events = b"".join(step("event", origin(0, to), bytes([to - 1]), WHOLE) for to in range(5, 13))
    answer = step("answer", origin(0, 12), b"\1")
    yield first + events + answer + step("pass", b"\x88\x13") + answer
    yield first + step("changes", origin(0, 9), b"\4", WHOLE) + step("changes", origin(1, 12), b"\6", WHOLE) + answer
    yield told + step("changes", origin(0, 12), b"\0", WHOLE) + step("restart", WHOLE) + told + answer
    yield first + step("event", origin(0, 9), b"\7", WHOLE) + step("event", origin(0, 6), b"\4", b"\1\x33")
    yield first + events + step("restart", b"\1\x07") + told + step("snapshot", origin(1, 12), WHOLE)


def configurations():
    yield b'[server]\nlisten = "0.0.0.0:7400"\ntls_cert = "/a.pem"\ntls_key = "/a.key"\n[tokens]\nlife = "5m"\n'
    yield b'[tokens]\nissuer = "https://a"\naudience = "api"\nalgorithm = "EdDSA"\nclaims = ["a"]\nask_on = ["b"]\n'
    yield b'[limits]\nbody = 4096\nrequest = "30s"\nadmin = 1\n[feed]\nheartbeat = "1ms"\nring = 7\n[sessions]\nidle = "1d"\n'
    yield b'#!tokens.life=90s\n#!limits.admin=5\n#!tokens.claims=a,b\n#!store.kind=memory\n#!server.allow_insecure=true\n'
    yield b'[[issuers.secrets]]\nissuer = "https://i"\nname = "n"\nalgorithm = "HS256"\nsecret = "thirty-two bytes of a secret ...."\n'
    yield (b'[authority]\nurl = "https://a"\nclient_id = "g"\nclient_secret = "a secret of the gateway"\n'
           b'[verifier]\nissuer = "https://a"\naudience = "api"\nmax_staleness = "60s"\non_stale = "open"\n'
           b'open_until = "5m"\n[gateway]\nconnections = 9\n[[foreign]]\nissuer = "i"\naudience = "a"\n')
    yield b'[tokens]\nlongest_live = "1m"\n'
    yield b'[groups]\ncount = 7\n[subjects]\nlogout_sets_version = true\nrecord_fields = ["login=both", "role=access"]\n'
    yield b'[groups]\ncount = "many"\n'
    yield b'[subjects]\nlogout_sets_version = 3\n'


def target_texts():
    texts = [case["text"] for case in json.loads((FORMATS / "targets.json").read_text())["targets"]]
    texts += ["subject:alice", "device:alice/phone-1", "claim:tenant=acme", "issuer", "issuer:https:%2F%2Fidp.example",
              "issuer:https:%2F%2Fidp.example/subject:alice", "subject_client:a/b", "key:k%3D%25%00", "session:\u00e9"]
    yield "\n".join(["https://own.example", "https://idp.example", *texts]).encode()
    yield "\n".join(["own", "o/w=n%", "a", "b", "a/b", "a=b", "%2F"]).encode()


TARGETS = {"token": tokens, "signed_token": signed_tokens, "jwk_set": key_sets, "proof": proofs, "record": records,
           "frame": frames, "snapshot": snapshots, "sse": streams, "follower": followers,
           "configuration": configurations, "target_text": target_texts}


def main():
    check = "--check" in sys.argv
    for target, seeds in TARGETS.items():
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for seed in set(seeds()):
            path = folder / hashlib.sha1(seed).hexdigest()
            if check and (not path.exists() or path.read_bytes() != seed):
                sys.exit(f"{path} is not what seeds.py writes; run fuzz/seeds.py")
            path.write_bytes(seed)


main()
