// oauth4webapi and dpop against a running authority. Reads what the world is from the file named, prints one
// line for each claim that held and then, as JSON, the access tokens that live, those that were revoked and those
// that are bound to a key.
// A claim that does not hold ends it with an exception.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import * as dpop from 'dpop'
import * as oauth from 'oauth4webapi'

const world = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const issuer = new URL(world.issuer)
const alive = []
const dead = []
const bound = []

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

async function claim(name, run) {
  await run()
  console.log(`ok ${name}`)
}

async function refused(error, run) {
  await assert.rejects(run, (raised) => raised instanceof oauth.ResponseBodyError && raised.error === error)
}

const discovered = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2' })
const as = await oauth.processDiscoveryResponse(issuer, discovered)

const backend = { client_id: world.backend.id }
const basic = oauth.ClientSecretBasic(world.backend.secret)
const post = oauth.ClientSecretPost(world.backend.secret)

const signer = { client_id: world.signer.id }
const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
const key = await crypto.subtle.importKey('jwk', world.signer.jwk, algorithm, false, ['sign'])
const assertion = oauth.PrivateKeyJwt({ key, kid: world.signer.jwk.kid })

async function refresh(client, authentication, token, options) {
  const response = await oauth.refreshTokenGrantRequest(as, client, authentication, token, options)
  return oauth.processRefreshTokenResponse(as, client, response)
}

async function introspect(token, client = backend, options = {}) {
  const response = await oauth.introspectionRequest(as, client, basic, token, options)
  return oauth.processIntrospectionResponse(as, client, response)
}

async function revoke(client, authentication, token, additionalParameters) {
  const response = await oauth.revocationRequest(as, client, authentication, token, { additionalParameters })
  assert.equal(response.status, 200)
  await oauth.processRevocationResponse(response)
}

/** What a resource server that uses the library makes of a request. */
function received(token, scheme = 'Bearer', headers = {}) {
  return new Request('https://api.example/orders', { headers: { authorization: `${scheme} ${token}`, ...headers } })
}

world.backend.refresh = world.backend.refresh[0]

await claim('the metadata name every endpoint', () => {
  for (const name of ['token_endpoint', 'revocation_endpoint', 'introspection_endpoint', 'jwks_uri']) {
    assert.ok(as[name].startsWith(world.issuer), name)
  }
})

await claim('a machine gets a token, by header and by form', async () => {
  for (const authentication of [basic, post]) {
    const response = await oauth.clientCredentialsGrantRequest(as, backend, authentication, { scope: 'orders.read' })
    const answer = await oauth.processClientCredentialsResponse(as, backend, response)
    assert.equal(answer.token_type, 'bearer')
    const claims = await oauth.validateJwtAccessToken(as, received(answer.access_token), world.audience)
    assert.equal(claims.client_id, backend.client_id)
  }
})

await claim('a refresh token is rotated, and the one before is good for a repeat', async () => {
  const first = await refresh(backend, basic, world.backend.refresh)
  assert.notEqual(first.refresh_token, world.backend.refresh)
  const again = await refresh(backend, basic, world.backend.refresh)
  assert.equal(again.refresh_token, first.refresh_token)
  const next = await refresh(backend, basic, first.refresh_token)
  const claims = await oauth.validateJwtAccessToken(as, received(next.access_token), world.audience)
  assert.equal(claims.sub, 'alice')
  world.backend.refresh = next.refresh_token
  world.backend.access = next.access_token
})

await claim('introspection tells an active token, and signs its answer when asked', async () => {
  const answer = await introspect(world.backend.access)
  assert.equal(answer.active, true)
  assert.equal(answer.sub, 'alice')
  const client = { ...backend, introspection_signed_response_alg: 'ES256' }
  const signed = await introspect(world.backend.access, client, { requestJwtResponse: true })
  assert.equal(signed.active, true)
})

await claim('a token is exchanged for one of less', async () => {
  const parameters = { subject_token: world.backend.access, subject_token_type: ACCESS_TOKEN }
  const response = await oauth.genericTokenEndpointRequest(as, backend, basic, EXCHANGE, parameters)
  const answer = await oauth.processGenericTokenEndpointResponse(as, backend, response)
  assert.equal(answer.issued_token_type, ACCESS_TOKEN)
  dead.push(answer.access_token)
})

await claim('a revoked access token is inactive, its session lives', async () => {
  await revoke(backend, basic, world.backend.access, { token_type_hint: 'refresh_token' })
  assert.deepEqual(await introspect(world.backend.access), { active: false })
  dead.push(world.backend.access)
  const next = await refresh(backend, basic, world.backend.refresh)
  world.backend.refresh = next.refresh_token
  world.backend.access = next.access_token
})

await claim('a revoked refresh token takes its access tokens along', async () => {
  await revoke(backend, basic, world.backend.refresh)
  await refused('invalid_grant', () => refresh(backend, basic, world.backend.refresh))
  assert.deepEqual(await introspect(world.backend.access), { active: false })
  dead.push(world.backend.access)
})

await claim('revoking what is unknown is no error', () => revoke(backend, basic, 'nobody-knows-this'))

await claim('a client signs an assertion, once for each request', async () => {
  const answer = await refresh(signer, assertion, world.signer.refresh)
  alive.push(answer.access_token)
  let body
  const response = await oauth.clientCredentialsGrantRequest(as, signer, assertion, {}, {
    [oauth.customFetch]: (url, options) => ((body = options.body.toString()), fetch(url, options)),
  })
  await oauth.processClientCredentialsResponse(as, signer, response)
  const again = await fetch(as.token_endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body,
  })
  assert.equal((await again.json()).error, 'invalid_client')
})

// A public client whose tokens are bound to a key.
const spa = { client_id: world.spa.id }
const pair = await oauth.generateKeyPair('ES256')
const handle = oauth.DPoP(spa, pair)

async function login() {
  const url = `${world.issuer}/v1/login`
  const send = async (nonce) =>
    fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', dpop: await dpop.generateProof(pair, url, 'POST', nonce) },
      body: JSON.stringify({ ...world.spa.account, client_id: spa.client_id, refresh_token: true }),
    })
  let response = await send()
  if (response.status === 400) response = await send(response.headers.get('dpop-nonce'))
  assert.equal(response.status, 200, await response.clone().text())
  return response.json()
}

/** Once more with the nonce that the first answer brought, as the library asks its users to. */
async function withNonce(run) {
  try {
    return await run()
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    return run()
  }
}

await claim('a public client refreshes with its key only', async () => {
  const session = await login()
  assert.equal(session.token_type, 'DPoP')
  const answer = await withNonce(() => refresh(spa, oauth.None(), session.refresh_token, { DPoP: handle }))
  assert.equal(answer.token_type, 'dpop')
  const url = 'https://api.example/orders'
  const proof = await dpop.generateProof(pair, url, 'GET', undefined, answer.access_token)
  const request = received(answer.access_token, 'DPoP', { dpop: proof })
  const claims = await oauth.validateJwtAccessToken(as, request, world.audience, { requireDPoP: true })
  assert.equal(claims.cnf.jkt, await dpop.calculateThumbprint(pair.publicKey))
  const active = await introspect(answer.access_token)
  assert.equal(active.token_type.toLowerCase(), 'dpop')
  bound.push(answer.access_token)

  const other = oauth.DPoP(spa, await oauth.generateKeyPair('ES256'))
  await refused('invalid_grant', () =>
    withNonce(() => refresh(spa, oauth.None(), answer.refresh_token, { DPoP: other })),
  )
  const after = await withNonce(() => refresh(spa, oauth.None(), answer.refresh_token, { DPoP: handle }))
  assert.ok(after.refresh_token)
})

console.log(JSON.stringify({ alive, dead, bound }))
