// What annul is measured beside on Node: fast-jwt with its cache, jose, jwt-redis.
// Reads `WORK ALGORITHM OPERATIONS` line by line, does one round, answers nanoseconds per token.
import { createPublicKey, randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createVerifier } from 'fast-jwt'
import { importJWK, jwtVerify } from 'jose'
import JWTR from 'jwt-redis'
import { createClient } from 'redis'

const [tokensPath, redisPort] = process.argv.slice(2)
const { issuers, audience, algorithms } = JSON.parse(readFileSync(tokensPath, 'utf8'))
const secretOf = (jwk) => Buffer.from(jwk.k, 'base64url')
const pemOf = (jwk) => createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' })

const peers = {}
for (const [name, { jwk, tokens }] of Object.entries(algorithms)) {
  const key = jwk.kty === 'oct' ? secretOf(jwk) : pemOf(jwk)
  const options = { key, algorithms: [name], allowedIss: issuers, allowedAud: audience }
  peers[name] = {
    tokens,
    cached: createVerifier({ ...options, cache: 2 * tokens.length }),
    uncached: createVerifier({ ...options, cache: false }),
    joseKey: await importJWK(jwk, name),
  }
}

const redis = createClient({ socket: { host: '127.0.0.1', port: Number(redisPort) } })
await redis.connect()
const jwtr = new (JWTR.default ?? JWTR)(redis)
const registered = []
for (let number = 0; number < 1000; number++) {
  registered.push(await jwtr.sign({ sub: `user-${number}` }, 'a secret that protects nothing', { expiresIn: '2h' }))
}

const work = {
  'fast-jwt-hit': ({ cached, tokens }, draws) => draws.forEach((draw) => cached(tokens[draw])),
  'fast-jwt-off': ({ uncached, tokens }, draws) => draws.forEach((draw) => uncached(tokens[draw])),
  jose: async ({ joseKey, tokens }, draws) => {
    for (const draw of draws) await jwtVerify(tokens[draw], joseKey, { issuer: issuers, audience })
  },
  'jwt-redis': async (_, draws) => {
    for (const draw of draws) await jwtr.verify(registered[draw], 'a secret that protects nothing')
  },
}

// The cache holds every token before the first round that counts.
for (const { cached, tokens } of Object.values(peers)) tokens.forEach((token) => cached(token))
console.log('ready')

for await (const line of createInterface({ input: process.stdin })) {
  const [name, algorithm, operations] = line.split(' ')
  try {
    const peer = peers[algorithm]
    const draws = Array.from({ length: Number(operations) }, () => randomInt(peer.tokens.length))
    const before = process.hrtime.bigint()
    await work[name](peer, draws)
    console.log(String(Number(process.hrtime.bigint() - before) / draws.length))
  } catch (error) {
    console.log(`error: ${error.message}`)
  }
}
process.exit(0)
