"""Authlib, requests-oauth2client and requests-oauthlib against a running authority.

Reads what the world is from the file named, prints one line for each claim that held and then, as JSON, the
access tokens that live and those that were revoked. A claim that does not hold ends it with an exception.
"""

import json
import os
import pathlib
import sys

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from authlib.oauth2.rfc7523 import PrivateKeyJWT as AuthlibPrivateKeyJwt
from joserfc.jwk import ECKey
from oauthlib.oauth2 import BackendApplicationClient, InvalidGrantError
from requests.auth import HTTPBasicAuth
from requests_oauth2client import DPoPKey, InvalidGrant, OAuth2Client, PrivateKeyJwt
from requests_oauthlib import OAuth2Session as OauthlibSession

world = json.loads(pathlib.Path(sys.argv[1]).read_text())
alive, dead = [], []
# The variable, because requests prefers one that the caller has set to what a session says.
os.environ["REQUESTS_CA_BUNDLE"] = world["root"]
session = requests.Session()
metadata_url = world["issuer"] + "/.well-known/oauth-authorization-server"
metadata = session.get(metadata_url).json()
backend, signer, legacy = world["backend"], world["signer"], world["legacy"]


def claim(run):
    run()
    print("ok", run.__name__.replace("_", " "))


def refused(error, run):
    try:
        run()
    except error as raised:
        return raised
    raise AssertionError(f"{run} was not refused")


# Authlib

def authlib(client, secret, method="client_secret_basic"):
    return AuthlibSession(client, secret, token_endpoint_auth_method=method)


def assertion(audience, client):
    made = authlib(client["id"], ECKey.import_key(client["jwk"]), "private_key_jwt")
    headers = {"kid": client["jwk"]["kid"]}
    made.register_client_auth_method(AuthlibPrivateKeyJwt(audience, headers=headers, alg="ES256"))
    return made


@claim
def authlib_refreshes_introspects_and_revokes():
    client = authlib(backend["id"], backend["secret"])
    machine = client.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")
    alive.append(machine["access_token"])
    first = client.refresh_token(metadata["token_endpoint"], refresh_token=backend["refresh"][0])
    assert first["refresh_token"] != backend["refresh"][0]
    asked = client.introspect_token(metadata["introspection_endpoint"], token=first["access_token"])
    assert asked.json()["active"] is True, asked.text
    answer = client.revoke_token(
        metadata["revocation_endpoint"], token=first["refresh_token"], token_type_hint="refresh_token")
    assert answer.status_code == 200, answer.text
    asked = client.introspect_token(metadata["introspection_endpoint"], token=first["access_token"])
    assert asked.json() == {"active": False}, asked.text
    dead.append(first["access_token"])
    raised = refused(OAuthError, lambda: client.refresh_token(
        metadata["token_endpoint"], refresh_token=first["refresh_token"]))
    assert raised.error == "invalid_grant", raised


@claim
def authlib_signs_assertions_for_the_issuer():
    token = assertion(world["issuer"], signer).fetch_token(
        metadata["token_endpoint"], grant_type="client_credentials")
    alive.append(token["access_token"])


@claim
def an_assertion_for_the_token_endpoint_is_taken_where_the_client_may():
    endpoint = metadata["token_endpoint"]
    token = assertion(endpoint, legacy).fetch_token(endpoint, grant_type="client_credentials")
    alive.append(token["access_token"])
    raised = refused(OAuthError, lambda: assertion(endpoint, signer).fetch_token(
        endpoint, grant_type="client_credentials"))
    assert raised.error == "invalid_client", raised


# requests-oauth2client

def discovered(auth, **options):
    return OAuth2Client.from_discovery_endpoint(
        metadata_url, world["issuer"], auth=auth, session=session, testing=True, **options)


@claim
def requests_oauth2client_refreshes_exchanges_introspects_and_revokes():
    client = discovered((backend["id"], backend["secret"]))
    token = client.refresh_token(backend["refresh"][1])
    assert client.introspect_token(token)["active"] is True
    less = client.token_exchange(
        subject_token=token.access_token, subject_token_type="urn:ietf:params:oauth:token-type:access_token")
    assert client.introspect_token(less.access_token)["active"] is True
    assert client.revoke_token(token.refresh_token, token_type_hint="refresh_token") is True
    assert client.introspect_token(token.access_token)["active"] is False
    assert client.introspect_token(less.access_token)["active"] is False
    dead.extend([token.access_token, less.access_token])
    refused(InvalidGrant, lambda: client.refresh_token(token.refresh_token))


@claim
def requests_oauth2client_signs_assertions():
    auth = PrivateKeyJwt(signer["id"], signer["jwk"], alg="ES256", aud=world["issuer"])
    token = discovered(auth).client_credentials()
    alive.append(token.access_token)


@claim
def requests_oauth2client_binds_a_machines_token_to_a_key():
    key = DPoPKey.generate("ES256")
    client = discovered((backend["id"], backend["secret"]))
    token = client.client_credentials(dpop=True, dpop_key=key)
    asked = client.introspect_token(token.access_token)
    assert asked["active"] is True and asked["token_type"] == "DPoP", asked
    assert asked["cnf"]["jkt"] == key.dpop_jkt, asked


# requests-oauthlib

@claim
def requests_oauthlib_gets_and_refreshes_tokens():
    machine = OauthlibSession(client=BackendApplicationClient(client_id=backend["id"]))
    token = machine.fetch_token(
        metadata["token_endpoint"], auth=HTTPBasicAuth(backend["id"], backend["secret"]))
    alive.append(token["access_token"])
    user = OauthlibSession(backend["id"], token={"refresh_token": backend["refresh"][2], "access_token": "spent"})
    basic = HTTPBasicAuth(backend["id"], backend["secret"])
    first = user.refresh_token(metadata["token_endpoint"], auth=basic)
    assert first["refresh_token"] != backend["refresh"][2]
    alive.append(first["access_token"])
    refused(InvalidGrantError, lambda: user.refresh_token(
        metadata["token_endpoint"], refresh_token="annul_rt_made_up", auth=basic))


print(json.dumps({"alive": alive, "dead": dead, "bound": []}))
