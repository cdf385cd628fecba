// oidc-provider as a server of the refresh_token grant: rotation on, access tokens as JWT signed by ES256.
// Its own in-memory adapter stands behind it, which commits nothing: a refresh here is a change of two
// maps and a signature, and all of it is gone when the process ends.
//
// Prints `listening ADDRESS`, then answers each line `COUNT` with a JSON array of so many refresh tokens,
// each of a grant of its own.
import { createInterface } from 'node:readline'
import { exportJWK, generateKeyPair } from 'jose'
import Provider from 'oidc-provider'
import MemoryAdapter from 'oidc-provider/lib/adapters/memory_adapter.js'
import LRU from 'oidc-provider/lib/helpers/lru.js'

const [clientId, clientSecret, audience] = process.argv.slice(2)
// Notices would stand between the answers.
console.info = console.error

// The adapter forgets what lies a thousand insertions back, which is less than all callers hold at once.
const storage = new LRU({ maxSize: 100_000 })
const { privateKey } = await generateKeyPair('ES256', { extractable: true })
const key = { ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'bench' }
const issuer = 'http://127.0.0.1'
const provider = new Provider(issuer, {
  adapter: (model) => new MemoryAdapter(model, storage),
  jwks: { keys: [key] },
  cookies: { keys: ['a secret that protects nothing'] },
  clients: [
    {
      client_id: clientId,
      client_secret: clientSecret,
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['https://client.bench.example/callback'],
      id_token_signed_response_alg: 'ES256',
    },
  ],
  rotateRefreshToken: true,
  ttl: { AccessToken: 300, RefreshToken: 14 * 86_400, Grant: 14 * 86_400 },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  features: {
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: 'api',
        audience,
        accessTokenTTL: 300,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
})

const resource = 'https://api.bench.example'
const client = await provider.Client.find(clientId)
let opened = 0

// What the authorization code flow leaves behind, without its pages.
async function open() {
  const accountId = `user-${opened++}`
  const grant = new provider.Grant({ accountId, clientId })
  grant.addResourceScope(resource, 'api')
  const grantId = await grant.save()
  const token = new provider.RefreshToken({
    accountId,
    client,
    grantId,
    gty: 'authorization_code',
    authTime: Math.floor(Date.now() / 1000),
    resource,
    scope: 'api',
  })
  return token.save()
}

const server = provider.listen(0, '127.0.0.1', () => {
  console.log(`listening http://127.0.0.1:${server.address().port}`)
})

for await (const line of createInterface({ input: process.stdin })) {
  const tokens = []
  for (let left = Number(line); left > 0; left--) tokens.push(await open())
  console.log(JSON.stringify(tokens))
}
process.exit(0)
