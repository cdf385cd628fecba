"""Writes tokens.json: tokens, the keys and expectations they meet, and the answer each must get.

Independent of annul's code on purpose: the tokens are signed by the Python package `cryptography`.
The output does not change from run to run; with --check it is only compared.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

NOW = 1_800_000_000
OWN, IDP, API = "https://annul.example", "https://idp.example", "https://api.example"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def num(text):
    return int.from_bytes(unb64(text), "big")


SECRET = bytes(range(64))
ED = ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"annul vectors ed25519").digest())
CURVES = {"ES256": (ec.SECP256R1(), "P-256", 32, hashes.SHA256()), "ES384": (ec.SECP384R1(), "P-384", 48, hashes.SHA384()),
          "ES512": (ec.SECP521R1(), "P-521", 66, hashes.SHA512())}
EC = {alg: ec.derive_private_key(0x1234567890ABCDEF, row[0]) for alg, row in CURVES.items()}
# The primes of RFC 7515, appendix A.2: a published key, good for vectors and nothing else.
P = num("4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc")
Q = num("uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc")
D = pow(65537, -1, (P - 1) * (Q - 1))
RSA = rsa.RSAPrivateNumbers(P, Q, D, D % (P - 1), D % (Q - 1), pow(Q, -1, P), rsa.RSAPublicNumbers(65537, P * Q)).private_key()
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}

# PSS signatures are random, so these were made once, over alg_PS256 and its brothers below.
PSS = {
    "PS256": "eNDuA_jsb2DI73CEXsHItW5n1wqn61Hb0g0R-w2Jg5LkJyo_nOv655t1GcefHs4zapeZBLxNdV5S4UnAEUAbIu8XM1-0WvbFxIQ9hAjm3JhJ7begMVVBf5yh3NmI_jwFGYWh1L9Gm06W_XbFEbJ8PubstFG3JdYXgd52q8QbRq4brhaonQ98SupyEsxii9MihlyltMlZ2FO-P2vV-CLzYGTDvFTtVJbVgqp0xipJ3m1d-mYXP614InxJWp6DZ_PpihIlKVQ7PqYM6JweodklDSC2C03PykyV3JSVcsCsw-BYo7IGx9oC9_ws2_GrbEZfzmXn0LH2zAV6XE8hEb9kYA",
    "PS384": "TtiY_qy7WgW5ZpqBt9Y0NkEU4LAzrub0R5U50vJOWiNUKQLaFsL5SlTrjMHx5i02YabrWyqVUxE_22m5To-E2qMWDWbiC8x4XrR340ZW_No95eDlNkSNLsxIfn4wDKWDXSvjzkVk0BFI1BZDMXl9lHuSYrOGNa6aEkF5dzJhIK5yWj_gphV0o1zE3SI4K6U44LCetp41aKXhMt29-Y7cgsrNmK0yBto5yiixwHzw-ydQmLc10-URhXYtnrjv0BruIEMq8oK0gBOGrK2eNrrEVqJVFMIS18uRCMnUn4M5fM98-o-H_qXI1vRNJ7gqmSwOpgCy7m5nn-eX21kF76P6Pw",
    "PS512": "mDUBIv7BsFe0lZewy1pIHx0mYiLVnP64On6_B_-6QP2hderC6E4DVwux1sw-ndVrnIVcEW1982wYMHHeBEePb-y8PD2d3CPkVTt1d7--qtJD1iLMnckhMNqk5xJjLb7jD_K8W6zXwWMF69mS3ZWOoR_FQsRwF4vbx-zR5xHAFyD4Ay5HGt0qARng_MaeqRU4IugFFNVJig225N6WUcISSYsA9KPBLTMnPtZskVyKDDgBfLl33Jc-VvHX3qD2kYl4a0w5IbAngQETJyWN9fWZv9bA_ZqkQkCBXKguSMuBRj-4r7XVuU7GRR5enjT0ymfY8u5EuIl1iTUi7wFSimINFw",
}


def sign(alg, message):
    family, bits = alg[:2], alg[2:]
    if family == "HS":
        return hmac.new(SECRET, message, f"sha{bits}").digest()
    if alg in ("EdDSA", "Ed25519"):
        return ED.sign(message)
    if family == "ES":
        _, _, width, digest = CURVES[alg]
        r, s = decode_dss_signature(EC[alg].sign(message, ec.ECDSA(digest, deterministic_signing=True)))
        return r.to_bytes(width, "big") + s.to_bytes(width, "big")
    digest = HASHES[bits]
    if family == "RS":
        return RSA.sign(message, padding.PKCS1v15(), digest)
    return unb64(PSS[alg])


def token(header, payload, alg):
    header = header if isinstance(header, (str, bytes)) else json.dumps(header, separators=(",", ":"))
    payload = payload if isinstance(payload, (str, bytes)) else json.dumps(payload, separators=(",", ":"))
    raw = [part.encode() if isinstance(part, str) else part for part in (header, payload)]
    message = ".".join(map(b64, raw))
    return f"{message}.{b64(sign(alg, message.encode()))}"


def public(alg, /, **more):
    if alg in ("EdDSA",):
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(ED.public_key().public_bytes_raw())}
    elif alg in CURVES:
        _, name, width, _ = CURVES[alg]
        numbers = EC[alg].public_key().public_numbers()
        jwk = {"kty": "EC", "crv": name, "x": b64(numbers.x.to_bytes(width, "big")), "y": b64(numbers.y.to_bytes(width, "big"))}
    elif alg == "RSA":
        jwk = {"kty": "RSA", "n": b64((P * Q).to_bytes(256, "big")), "e": "AQAB"}
    else:
        jwk = {"kty": "oct", "k": b64(SECRET)}
    return {**jwk, **more}


KEYS = {
    "secret": [public("HS")],
    "own": [public("EdDSA", kid="own-1", alg="EdDSA"), public("ES256", kid="own-2")],
    "ES256": [public("ES256")], "ES384": [public("ES384")], "ES512": [public("ES512")], "EdDSA": [public("EdDSA")],
    "RSA": [public("RSA")], "RS256 only": [public("RSA", alg="RS256", kid="r")],
    "all": [public("ES256", kid="es"), public("EdDSA", kid="ed"), public("RSA", kid="rsa")],
    "two of one kind": [public("RSA", kid="a"), {**public("RSA", kid="b"), "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}],
    "none": [],
}
FOREIGN = {"iss": IDP, "sub": "bob", "aud": [API, "other"], "exp": NOW + 300, "iat": NOW - 10, "jti": "f-1"}
OWNED = {"iss": OWN, "sub": "alice", "aud": API, "exp": NOW + 300, "iat": NOW - 10, "jti": "t-1", "client_id": "web",
         "sid": "s-1", "device_id": "phone", "auth_time": NOW - 100, "lpos": "1:42"}
EXPECT_FOREIGN = {"kind": "foreign", "issuer": IDP, "audience": API}
EXPECT_OWN = {"kind": "own", "issuer": OWN, "audience": API, "longest_life": 900, "leeway": 5}
cases = []


def case(id, answer, text, keys="secret", expect=EXPECT_FOREIGN, now=NOW, **more):
    cases.append({"id": id, "answer": answer, "token": text, "keys": keys, "expect": expect, "now": now, **more})


def foreign(id, answer, header=None, raw=None, **claims):
    """A foreign HS256 token. A claim set to ... is taken away; `raw` is JSON text added to the claims."""
    body = json.dumps({k: v for k, v in {**FOREIGN, **claims}.items() if v is not ...}, separators=(",", ":"))
    if raw:
        body = body[:-1] + "," + raw + "}"
    case(id, answer, token({"alg": "HS256"} if header is None else header, body, "HS256"))


def own(id, answer, header=None, alg="EdDSA", **claims):
    body = {k: v for k, v in {**OWNED, **claims}.items() if v is not ...}
    header = {"alg": alg, "typ": "at+jwt", "kid": "own-1"} if header is None else header
    case(id, answer, token(header, body, alg), "own", EXPECT_OWN)


# What is accepted.
foreign("foreign_plain", "OK")
own("own_plain", "OK")
for alg in ("HS256", "HS384", "HS512"):
    case(f"alg_{alg}", "OK", token({"alg": alg}, FOREIGN, alg))
for alg in ("ES256", "ES384", "ES512", "EdDSA"):
    case(f"alg_{alg}", "OK", token({"alg": alg}, FOREIGN, alg), alg)
for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"):
    case(f"alg_{alg}", "OK", token({"alg": alg}, FOREIGN, alg), "RSA")
case("alg_Ed25519_is_EdDSA", "OK", token({"alg": "Ed25519"}, FOREIGN, "EdDSA"), "EdDSA")

# JWS-1: form.
good = token({"alg": "HS256"}, FOREIGN, "HS256")
head, body, signature = good.split(".")
for name, text in {
    "padding": good + "=", "padding_in_header": f"{head}=.{body}.{signature}", "trailing_newline": good + "\n",
    "leading_space": " " + good, "newline_inside": good[:20] + "\n" + good[20:], "trailing_nul": good + "\0",
    "standard_alphabet": f"{head}.{body}.+/{signature[2:]}", "two_parts": f"{head}.{body}", "four_parts": good + ".AAAA",
    "trailing_dot": good + ".", "five_parts": good + ".AAAA.AAAA", "only_dots": "..", "empty_header": f".{body}.{signature}",
    "json_serialization": json.dumps({"payload": body, "protected": head, "signature": signature}),
}.items():
    case(f"jws_1_{name}", "token_malformed", text)
case("jws_1_missing", "token_missing", "")
case("jws_1_too_large", "token_too_large", good + "A" * 16384)
last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
case("jws_7_trailing_bits", "token_malformed", good[:-1] + last[last.index(good[-1]) + 1])

# JWS-2: JSON.
for name, header in {
    "duplicate_alg": '{"alg":"HS256","alg":"HS256"}', "duplicate_alg_none_first": '{"alg":"none","alg":"HS256"}',
    "escaped_duplicate": '{"alg":"HS256","\\u0061lg":"HS256"}', "nested_duplicate": '{"alg":"HS256","x":{"y":1,"y":1}}',
    "bom": "\ufeff" + '{"alg":"HS256"}', "array": '["HS256"]', "string": '"HS256"', "trailing": '{"alg":"HS256"}x',
    "invalid_utf8": b'{"alg":"HS256","x":"\xff"}', "no_alg": "{}", "alg_number": '{"alg":256}', "alg_array": '{"alg":["HS256"]}',
    "kid_number": '{"alg":"HS256","kid":1}', "typ_null": '{"alg":"HS256","typ":null}', "deep": '{"alg":"HS256","x":' + "[" * 2000 + "]" * 2000 + "}",
}.items():
    foreign(f"jws_2_header_{name}", "token_malformed", header=header)
for claim in ("jti", "sub", "exp", "sid", "iss"):
    again = json.dumps(FOREIGN.get(claim, "s"))
    prefix = "" if claim in FOREIGN else f'"{claim}":"s",'
    foreign(f"jws_2_duplicate_{claim}", "token_malformed", raw=f'{prefix}"{claim}":{again}')
foreign("jws_2_escaped_duplicate_jti", "token_malformed", raw='"j\\u0074i":"f-2"')
foreign("jws_2_duplicate_in_depth", "token_malformed", raw='"x":[{"a":1,"a":1}]')
foreign("jws_2_deep_claims", "token_malformed", raw='"x":' + "[" * 2000 + "]" * 2000)
foreign("jws_2_lone_surrogate", "token_malformed", raw='"x":"\\ud800"')
foreign("jws_2_surrogate_pair", "OK", raw='"x":"\\ud83d\\ude00"')
for name, payload in {"array": "[]", "string": '"x"', "null": "null", "empty": "", "bom": "\ufeff" + json.dumps(FOREIGN),
                      "trailing": json.dumps(FOREIGN) + "{}", "invalid_utf8": json.dumps(FOREIGN).encode().replace(b"bob", b"b\xffb"),
                      "comma": json.dumps(FOREIGN)[:-1] + ",}"}.items():
    case(f"jws_2_payload_{name}", "token_malformed", token({"alg": "HS256"}, payload, "HS256"))

# JWS-3: extensions.
for name, crit in {"unknown": ["x"], "empty": [], "registered": ["exp"], "b64": ["b64"], "string": "b64", "null": None,
                   "duplicate": ["x", "x"], "object": {}}.items():
    foreign(f"jws_3_crit_{name}", "crit_unsupported", header={"alg": "HS256", "crit": crit, "x": 1, "b64": True})
foreign("jws_3_b64_false_without_crit", "crit_unsupported", header={"alg": "HS256", "b64": False})

# JWS-4: algorithms.
for alg in ("none", "None", "NONE", "nOnE", "hs256", "", "ES256K", "RSA-OAEP", "HS1"):
    case(f"jws_4_alg_{alg or 'empty'}", "alg_not_allowed", f"{b64(json.dumps({'alg': alg}).encode())}.{body}.")
case("jws_4_stripped_signature", "signature_invalid", f"{head}.{body}.")
for keys in ("ES256", "EdDSA", "RSA"):
    case(f"jws_4_hs256_with_key_of_{keys}", "alg_not_allowed", good, keys)
public_bytes = {"EdDSA": unb64(KEYS["EdDSA"][0]["x"]), "RSA": json.dumps(KEYS["RSA"][0]).encode()}
for keys, key in public_bytes.items():
    text = f"{head}.{body}"
    case(f"jws_4_public_key_of_{keys}_as_secret", "alg_not_allowed", f"{text}.{b64(hmac.new(key, text.encode(), 'sha256').digest())}", keys)
case("jws_4_es256_with_p384_key", "alg_not_allowed", token({"alg": "ES256"}, FOREIGN, "ES256"), "ES384")
case("bcp_1_key_bound_to_rs256", "alg_not_allowed", token({"alg": "RS512", "kid": "r"}, FOREIGN, "RS512"), "RS256 only")
case("bcp_1_list_excludes", "alg_not_allowed", good, expect={**EXPECT_FOREIGN, "algorithms": ["ES256"]})
case("bcp_2_enc_in_header", "token_malformed", token({"alg": "HS256", "enc": "A128GCM"}, FOREIGN, "HS256"))

# JWS-5: keys are chosen by the verifier.
case("jws_5_embedded_jwk", "key_unknown", token({"alg": "EdDSA", "jwk": KEYS["EdDSA"][0]}, FOREIGN, "EdDSA"), "none")
case("jws_5_embedded_jwk_ignored", "OK", token({"alg": "EdDSA", "jwk": {"kty": "OKP"}, "jku": "https://mallory.example", "x5c": ["MII"]}, FOREIGN, "EdDSA"), "EdDSA")
for name, kid in {"path": "../../etc/passwd", "sql": "' OR 1=1 --", "nul": "es\0", "long": "k" * 4096, "empty": "", "case": "ES"}.items():
    case(f"jws_5_kid_{name}", "key_unknown", token({"alg": "ES256", "kid": kid}, FOREIGN, "ES256"), "all")
case("jws_5_kid_finds", "OK", token({"alg": "ES256", "kid": "es"}, FOREIGN, "ES256"), "all")
case("jws_5_kid_of_another_key", "alg_not_allowed", token({"alg": "ES256", "kid": "ed"}, FOREIGN, "ES256"), "all")
case("no_kid_one_fits", "OK", token({"alg": "RS256"}, FOREIGN, "RS256"), "all")
case("no_kid_two_fit", "key_ambiguous", token({"alg": "RS256"}, FOREIGN, "RS256"), "two of one kind")
case("kid_tells_two_apart", "OK", token({"alg": "RS256", "kid": "a"}, FOREIGN, "RS256"), "two of one kind")
case("kid_of_the_other", "signature_invalid", token({"alg": "RS256", "kid": "b"}, FOREIGN, "RS256"), "two of one kind")

# JWS-6: signatures.
es = token({"alg": "ES256"}, FOREIGN, "ES256")
signed, raw = es.rsplit(".", 1)
r, s = unb64(raw)[:32], unb64(raw)[32:]
integer = lambda n: (lambda m: bytes([2, len(m)]) + m)((b"\0" if n[0] & 0x80 else b"") + n)
der = integer(r) + integer(s)
order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
for name, forged in {"der": bytes([0x30, len(der)]) + der, "r_s_zero": bytes(64), "r_zero": bytes(32) + s, "s_zero": r + bytes(32),
                     "short": (r + s)[:63], "long": r + s + b"\0", "r_is_order": order.to_bytes(32, "big") + s, "swapped": s + r}.items():
    case(f"jws_6_es256_{name}", "signature_invalid", f"{signed}.{b64(forged)}", "ES256")
case("jws_7_es256_other_s", "OK", f"{signed}.{b64(r + (order - int.from_bytes(s, 'big')).to_bytes(32, 'big'))}", "ES256")
case("jws_6_hs256_truncated", "signature_invalid", f"{head}.{body}.{b64(unb64(signature)[:16])}")
case("jws_6_other_payload", "signature_invalid", f"{head}.{b64(json.dumps({**FOREIGN, 'sub': 'root'}).encode())}.{signature}")
ed = token({"alg": "EdDSA"}, FOREIGN, "EdDSA")
edsig = unb64(ed.rsplit(".", 1)[1])
L = 2**252 + 27742317777372353535851937790883648493
plus_l = edsig[:32] + (int.from_bytes(edsig[32:], "little") + L).to_bytes(32, "little")
case("jws_6_ed25519_s_plus_l", "signature_invalid", f"{ed.rsplit('.', 1)[0]}.{b64(plus_l)}", "EdDSA")

# JWT-1, JWT-2: dates.
for claim in ("exp", "nbf", "iat"):
    for name, value in {"string": '"1800000300"', "null": "null", "array": "[1800000300]", "bool": "true", "object": "{}"}.items():
        foreign(f"jwt_1_{claim}_{name}", "claim_invalid", raw=f'"{claim}":{value}', **{claim: ...})
    foreign(f"jwt_1_{claim}_1e400", "token_malformed", raw=f'"{claim}":1e400', **{claim: ...})
for name, value, answer in (("fraction", "1800000300.5", "OK"), ("1e30", "1e30", "OK"), ("negative", "-1", "token_expired"), ("minus_zero", "-0", "token_expired")):
    foreign(f"jwt_1_exp_{name}", answer, raw=f'"exp":{value}', exp=...)
foreign("jwt_1_exp_missing", "claim_invalid", exp=...)
foreign("jwt_1_iat_missing", "OK", iat=...)
for name, delta, answer in (("before", -1, "OK"), ("at", 0, "token_expired"), ("after", 1, "token_expired")):
    case(f"jwt_2_{name}_exp", answer, good, now=NOW + 300 + delta, expect={**EXPECT_FOREIGN, "leeway": 0})
    case(f"jwt_2_{name}_exp_and_leeway", answer, good, now=NOW + 330 + delta, expect={**EXPECT_FOREIGN, "leeway": 30})
later = token({"alg": "HS256"}, {**FOREIGN, "nbf": NOW + 100}, "HS256")
for delta, answer in ((-1, "token_not_yet_valid"), (0, "OK")):
    case(f"jwt_2_nbf_{delta}", answer, later, now=NOW + 100 + delta, expect={**EXPECT_FOREIGN, "leeway": 0})
    case(f"jwt_2_nbf_{delta}_leeway", answer, later, now=NOW + 70 + delta, expect={**EXPECT_FOREIGN, "leeway": 30})
foreign("t_4_iat_60_ahead", "OK", iat=NOW + 60)
foreign("t_4_iat_61_ahead", "token_not_yet_valid", iat=NOW + 61)
for delta, answer in ((0, "OK"), (1, "life_too_long")):
    bounded = {**EXPECT_FOREIGN, "longest_life": 900, "leeway": 5}
    undated = {name: value for name, value in FOREIGN.items() if name != "iat"}
    case(f"life_{delta}", answer, token({"alg": "HS256"}, {**undated, "exp": NOW + 905 + delta}, "HS256"), expect=bounded)
    # Made to live longer, and near its end.
    lived = {**FOREIGN, "iat": NOW - 890 - delta, "exp": NOW + 10}
    case(f"lived_{delta}", answer, token({"alg": "HS256"}, lived, "HS256"), expect=bounded)

# JWT-3: issuer and audience.
for name, aud, answer in (("string", API, "OK"), ("empty_array", [], "claim_invalid"), ("number", 7, "claim_invalid"), ("nested", [[API]], "claim_invalid"),
                          ("object", {"a": API}, "claim_invalid"), ("null", None, "claim_invalid"), ("slash", API + "/", "audience_mismatch"),
                          ("case", API.upper(), "audience_mismatch"), ("prefix", API + ".evil.example", "audience_mismatch"), ("missing", ..., "audience_mismatch")):
    foreign(f"jwt_3_aud_{name}", answer, aud=aud)
for name, iss, answer in (("slash", IDP + "/", "issuer_mismatch"), ("case", "https://IDP.example", "issuer_mismatch"), ("array", [IDP], "claim_invalid"),
                          ("number", 7, "claim_invalid"), ("missing", ..., "issuer_mismatch"), ("own", OWN, "issuer_mismatch")):
    foreign(f"jwt_3_iss_{name}", answer, iss=iss)

# JWT-4: names.
for claim in ("jti", "sub", "sid", "client_id", "azp", "device_id"):
    for name, value in {"number": 7, "empty": "", "array": ["a"], "null": None, "long": "x" * 513}.items():
        foreign(f"jwt_4_{claim}_{name}", "claim_invalid", **{claim: value})
foreign("jwt_4_jti_with_nul", "OK", jti="a\0b")
foreign("jwt_4_jti_missing", "OK", jti=...)
case("jwt_4_jti_required", "claim_invalid", token({"alg": "HS256"}, {k: v for k, v in FOREIGN.items() if k != "jti"}, "HS256"), expect={**EXPECT_FOREIGN, "requires_jti": True})
foreign("jwt_4_scope_array", "claim_invalid", scope=["read"])
foreign("jwt_4_unknown_claims", "OK", whatever={"deep": [1, 2, {"x": None}]})

# BCP-4, BCP-5, AT-*: kinds of token.
for typ, answer in (("at+jwt", "OK"), ("AT+JWT", "OK"), ("application/at+jwt", "OK"), ("JWT", "typ_mismatch"), ("logout+jwt", "typ_mismatch"),
                    ("secevent+jwt", "typ_mismatch"), ("dpop+jwt", "typ_mismatch"), ("statuslist+jwt", "typ_mismatch"), ("", "typ_mismatch")):
    own(f"bcp_5_own_typ_{typ or 'empty'}", answer, header={"alg": "EdDSA", "typ": typ, "kid": "own-1"})
own("bcp_5_own_typ_absent", "typ_mismatch", header={"alg": "EdDSA", "kid": "own-1"})
for typ, answer in (("JWT", "OK"), ("jwt", "OK"), ("at+jwt", "OK"), ("logout+jwt", "typ_mismatch"), ("dpop+jwt", "typ_mismatch")):
    foreign(f"bcp_4_foreign_typ_{typ}", answer, header={"alg": "HS256", "typ": typ})
case("bcp_4_exact_typ", "OK", token({"alg": "HS256", "typ": "partner+jwt"}, FOREIGN, "HS256"), expect={**EXPECT_FOREIGN, "typ": "application/partner+jwt"})
case("bcp_4_exact_typ_other", "typ_mismatch", token({"alg": "HS256", "typ": "JWT"}, FOREIGN, "HS256"), expect={**EXPECT_FOREIGN, "typ": "partner+jwt"})
case("at_1_own_symmetric", "alg_not_allowed", token({"alg": "HS256", "typ": "at+jwt"}, OWNED, "HS256"), "secret", EXPECT_OWN)
for claim in ("sub", "exp", "iat", "jti", "client_id", "lpos"):
    own(f"at_2_own_without_{claim}", "claim_invalid", **{claim: ...})
for claim in ("sid", "device_id", "auth_time"):
    own(f"at_2_own_without_{claim}", "OK", **{claim: ...})
for name, lpos in {"leading_zero": "1:042", "number": 42, "no_epoch": "42", "too_large": "1:9007199254740992"}.items():
    own(f"lpos_{name}", "claim_invalid", lpos=lpos)
own("origin_eight", "OK", origin=[{"iss": IDP, "sid": str(n)} for n in range(8)])
own("origin_nine", "claim_invalid", origin=[{"iss": IDP, "sid": str(n)} for n in range(9)])
own("origin_without_name", "claim_invalid", origin=[{"iss": IDP}])
own("own_life_too_long", "life_too_long", exp=NOW + 906)
case("bcp_3_key_of_another_issuer", "issuer_mismatch", token({"alg": "EdDSA", "typ": "at+jwt", "kid": "own-1"}, {**OWNED, "iss": IDP}, "EdDSA"), "own", EXPECT_OWN)
case("expired_and_key_unknown", "token_expired", token({"alg": "EdDSA"}, {**FOREIGN, "exp": NOW - 60}, "EdDSA"), "none")


# Targets, as text seen from our own issuer.
def thumbprint(jwk):
    members = {"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n"), "oct": ("k", "kty")}[jwk["kty"]]
    canonical = json.dumps({name: jwk[name] for name in members}, separators=(",", ":"), sort_keys=True)
    return b64(hashlib.sha256(canonical.encode()).digest())


own("targets_own", "OK", scope="read write", tenant="acme/eu", roles=["admin", 7, 7.0, True, None, {}], level=0.5,
    cnf={"jkt": "thumb"}, origin=[{"iss": IDP, "sid": "s-9"}])
cases[-1].update(own_issuer=OWN, claims=["scope", "tenant", "roles", "level", "absent"], targets=sorted([
    "issuer", "subject:alice", "client:web", "subject_client:alice/web", "device:alice/phone", "session:s-1", "token:t-1",
    "key:" + thumbprint(KEYS["own"][0]), "confirmation:thumb", "claim:scope=read", "claim:scope=write",
    "claim:tenant=acme%2Feu", "claim:roles=admin", "claim:roles=7", "claim:roles=true", "claim:level=0.5",
    "issuer:https:%2F%2Fidp.example/session:s-9"]))
foreign("targets_foreign", "OK", azp="app", sid="s")
at_idp = "issuer:https:%2F%2Fidp.example"
cases[-1].update(own_issuer=OWN, claims=[], targets=sorted([at_idp] + [f"{at_idp}/{name}" for name in (
    "subject:bob", "client:app", "subject_client:bob/app", "session:s", "token:f-1", "key:" + thumbprint(KEYS["secret"][0]))]))

ids = [entry["id"] for entry in cases]
assert len(ids) == len(set(ids)), [id for id in ids if ids.count(id) > 1]
about = ("Each case: parse `token` and verify it with the key set `keys` and the expectation `expect` at `now`. The answer is OK "
         "or the code of the refusal. Where `targets` is given, the token's targets under the configured `claims` are these texts "
         "as `own_issuer` writes them, sorted. Defaults: leeway 5 s, life unbounded. Written by make_tokens.py.")
text = '{\n"about": ' + json.dumps(about) + ",\n\"keys\": {\n"
text += ",\n".join(f"{json.dumps(name)}: {json.dumps({'keys': keys})}" for name, keys in KEYS.items())
text += '\n},\n"cases": [\n' + ",\n".join(json.dumps(entry) for entry in cases) + "\n]\n}\n"
path = pathlib.Path(__file__).with_name("tokens.json")
if "--check" not in sys.argv:
    path.write_text(text)
elif path.read_text() != text:
    sys.exit("tokens.json differs from what make_tokens.py computes")
