#!/usr/bin/env python3
"""Computes the chain and the target hashes of format v0 without any of annul's code.

    pip install blake3 && python3 make.py            writes chain.json and targets.json
    python3 make.py --check                          fails if they differ from what is computed

The records themselves (records.ndjson, records.json, refused.json) are written by hand.
"""

import base64
import json
import pathlib
import struct
import sys

from blake3 import blake3

HERE = pathlib.Path(__file__).parent
LOG = "log-7f3a"
HASH_KEY = bytes(range(32))
OWN = "https://id.example"
FOREIGN = "https://idp.example"

TAGS = {
    "issuer": 1, "subject": 2, "client": 3, "subject_client": 4, "device": 5, "session": 6,
    "token": 7, "token_hash": 8, "key": 9, "confirmation": 10, "claim": 11,
}  # fmt: skip

# text as seen from OWN, issuer, kind, decoded parts
TARGETS = [
    ("issuer", OWN, "issuer", []),
    ("subject:alice", OWN, "subject", ["alice"]),
    ("subject:Alice", OWN, "subject", ["Alice"]),
    ("client:app", OWN, "client", ["app"]),
    ("subject_client:alice/app", OWN, "subject_client", ["alice", "app"]),
    ("device:alice/phone-1", OWN, "device", ["alice", "phone-1"]),
    ("device:alice%2Fphone/1", OWN, "device", ["alice/phone", "1"]),
    ("device:alice/phone%2F1", OWN, "device", ["alice", "phone/1"]),
    ("session:0198f6c2-5d1e-7c3a-9a53-0c8a54d3ab11", OWN, "session", ["0198f6c2-5d1e-7c3a-9a53-0c8a54d3ab11"]),
    ("token:0198f6c2-5d1e-7c3a-9a53-0c8a54d3ab12", OWN, "token", ["0198f6c2-5d1e-7c3a-9a53-0c8a54d3ab12"]),
    ("token_hash:Zm9v", OWN, "token_hash", ["Zm9v"]),
    ("key:NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", OWN, "key", ["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"]),
    ("confirmation:0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", OWN, "confirmation", ["0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"]),
    ("claim:tenant=acme", OWN, "claim", ["tenant", "acme"]),
    ("claim:tenant=a%3Db%25", OWN, "claim", ["tenant", "a=b%"]),
    ("subject:Zo\u00eb \u5c71", OWN, "subject", ["Zo\u00eb \u5c71"]),
    ("subject:line%0Abreak", OWN, "subject", ["line\nbreak"]),
    ("issuer:https:%2F%2Fidp.example", FOREIGN, "issuer", []),
    ("issuer:https:%2F%2Fidp.example/subject:alice", FOREIGN, "subject", ["alice"]),
]


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def prefixed(part: str) -> bytes:
    raw = part.encode()
    return struct.pack("<Q", len(raw)) + raw


def target_hash(issuer: str, kind: str, parts: list[str]) -> bytes:
    issuer_key = blake3(issuer.encode(), key=HASH_KEY).digest()
    message = bytes([TAGS[kind]]) + b"".join(map(prefixed, parts))
    return blake3(message, key=issuer_key).digest()[:16]


def chain() -> dict:
    lines = (HERE / "records.ndjson").read_bytes().split(b"\n")[:-1]
    links = [blake3(LOG.encode(), derive_key_context="annul log v0").digest()]
    for line in lines:
        links.append(blake3(links[-1] + line).digest())
    return {"log": LOG, "genesis": b64(links[0]), "after": [b64(link) for link in links[1:]]}


def targets() -> dict:
    key_id = blake3(HASH_KEY, derive_key_context="annul hash key id v1").digest()[:8]
    return {
        "hash_key": HASH_KEY.hex(),
        "hash_key_id": b64(key_id),
        "own_issuer": OWN,
        "targets": [
            {"text": text, "issuer": issuer, "kind": kind, "parts": parts, "hash": b64(target_hash(issuer, kind, parts))}
            for text, issuer, kind, parts in TARGETS
        ],
    }


def main() -> int:
    files = {"chain.json": chain(), "targets.json": targets()}
    differing = []
    for name, content in files.items():
        text = json.dumps(content, indent=2, ensure_ascii=True) + "\n"
        path = HERE / name
        if "--check" in sys.argv:
            if path.read_text() != text:
                differing.append(name)
        else:
            path.write_text(text)
    for name in differing:
        print(f"{name} differs from what make.py computes", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
