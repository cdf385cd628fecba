"""Writes feed.json: a feed key, a frame, a snapshot and a head, signed by an independent program.

Needs the packages blake3 and cryptography. With --check it only compares. Member order and white space differ on purpose from what
annul writes: a signature covers the bytes that travel, whoever wrote them.
"""

import base64
import hashlib
import json
import pathlib
import sys

import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


SEED = bytes(range(32))
LOG = "log-golden"
private = Ed25519PrivateKey.from_private_bytes(SEED)
public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
thumbprint = b64(hashlib.sha256(json.dumps(
    {"crv": "Ed25519", "kty": "OKP", "x": b64(public)}, separators=(",", ":")).encode()).digest())

hash_key = bytes([9] * 32)
hash_key_id = b64(blake3.blake3(hash_key, derive_key_context="annul hash key id v1").digest(8))


def sign(domain: str, raw: str) -> str:
    return b64(private.sign(domain.encode() + raw.encode()))


def head(at: str, chain: bytes, nonce: str | None = None) -> str:
    members = {"log": LOG, "v": 0, "chain": b64(chain), "at": at, "hash_key": hash_key_id,
               "issued": 1800000000123, "revision": 1, "later": {"unknown": True}}
    if nonce is not None:
        members["nonce"] = nonce
    raw = json.dumps(members)
    return '{"signature":"%s", "head":%s}' % (sign("annul head v0\n", raw), raw)


chain = blake3.blake3(LOG.encode(), derive_key_context="annul log v0").digest()
genesis = chain
lines = [
    '{"kind":"noop", "at":"1:1"}',
    '{"at":"1:2","kind":"revoke","target":"%s","of":"subject","now":true,"until":1900000000}' % b64(bytes([1] * 16)),
    '{"at":"1:3","kind":"decoration","optional":true,"colour":"red"}',
]
for line in lines:
    chain = blake3.blake3(chain + line.encode()).digest()



def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def position(seq: int) -> bytes:
    """A sequence of the snapshot's own epoch, as what it lies below the snapshot's."""
    return varint(2 * (AT - seq))


AT, BASE = 3, 1899999000
first, second = bytes([1] * 16), bytes([2] * 16)
step = int.from_bytes(second[:8], "big") - int.from_bytes(first[:8], "big")
cells = b"".join([
    # A subject (2) with a position and an until.
    bytes([2 | 0x20 | 0x80]), varint(int.from_bytes(first[:8], "big")), first[8:], position(2), varint(1900000000 - BASE),
    # A key (9) with an always, and a time of another epoch's entry.
    bytes([9 | 0x10 | 0x40]), varint(step), second[8:], position(1), varint(0), varint(2 * 7 + 1), varint(300),
])
contents = json.dumps({
    "at": "1:3", "v": 0, "log": LOG, "chain": b64(chain), "cells": 2, "base": BASE, "issuers": [],
    "digest": b64(blake3.blake3(cells).digest()),
    "settings": {"revision": 1, "issuer": "https://auth.example", "longest_life": 900, "max_leeway": 60,
                 "clock_skew": 5, "claims": [], "ask_on": [], "hash_key": hash_key_id},
})
header = '{"snapshot":%s,"signature":"%s"}\n' % (contents, sign("annul snapshot v0\n", contents))

out = {
    "seed": SEED.hex(),
    "log": LOG,
    "jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64(public)},
    "fingerprint": thumbprint,
    "hash_key_id": hash_key_id,
    "genesis": b64(genesis),
    "chain": b64(chain),
    "head_with_nonce": head("1:3", chain, "n-1"),
    "frame": "".join(line + "\n" for line in [*lines, head("1:3", chain)]),
    "snapshot": b64(header.encode() + cells),
}
path = pathlib.Path(__file__).with_name("feed.json")
text = json.dumps(out, indent=2) + "\n"
if "--check" not in sys.argv:
    path.write_text(text)
elif path.read_text() != text:
    sys.exit("feed.json differs from what make_feed.py computes")
