// jose's answers: one case per line in, one answer per line out, until the input ends.
import { createInterface } from 'node:readline'
import { importJWK, jwtVerify } from 'jose'

async function answer({ token, jwk, algorithm, issuer, audience, leeway }) {
  try {
    const key = await importJWK(jwk, algorithm)
    const options = { algorithms: [algorithm], issuer, audience, clockTolerance: leeway, requiredClaims: ['exp'] }
    const { payload } = await jwtVerify(token, key, options)
    return { ok: true, claims: payload }
  } catch (error) {
    return { ok: false, error: `${error.code ?? error.name}: ${error.message}` }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))))
}
