"""PyJWT's answers: one case per line in, one answer per line out, until the input ends."""

import json
import sys
import warnings

import jwt


# Secrets that are too short are asked about on purpose.
warnings.simplefilter("ignore")


def answer(case):
    try:
        key = jwt.PyJWK.from_dict(case["jwk"], case["algorithm"])
        claims = jwt.decode(
            case["token"],
            key,
            algorithms=[case["algorithm"]],
            issuer=case["issuer"],
            audience=case["audience"],
            leeway=case["leeway"],
            options={"require": ["exp"]},
        )
        return {"ok": True, "claims": claims}
    except Exception as error:  # an exception of any other kind is an answer too: it is listed
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
