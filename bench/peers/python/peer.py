"""What annul is measured beside on Python: PyJWT over cryptography.

Reads `WORK ALGORITHM OPERATIONS` line by line, does one round, answers nanoseconds per token.
"""

import json
import random
import sys
import time

import jwt


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        world = json.load(file)
    peers = {
        name: (jwt.PyJWK(described["jwk"], algorithm=name).key, described["tokens"])
        for name, described in world["algorithms"].items()
    }
    print("ready", flush=True)
    for line in sys.stdin:
        _, name, operations = line.split()
        try:
            key, tokens = peers[name]
            drawn = random.choices(tokens, k=int(operations))
            before = time.perf_counter_ns()
            for token in drawn:
                jwt.decode(token, key, algorithms=[name], audience=world["audience"], issuer=world["issuers"])
            print((time.perf_counter_ns() - before) / len(drawn), flush=True)
        except Exception as error:  # the driver ends the run with what is said here
            print(f"error: {error}", flush=True)


main()
