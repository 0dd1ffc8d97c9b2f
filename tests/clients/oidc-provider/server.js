// The certified OpenID provider of the npm package `oidc-provider`, with pages to sign in and to consent, on a free
// port. ISSUER is how visitors reach it, SITE where our server is, KEYS a file for its keys, SIGN which of them signs.
import * as crypto from "node:crypto";
import * as fs from "node:fs";
import Provider from "oidc-provider";

const { ISSUER, SITE, KEYS, SIGN, CLIENT_KEY } = process.env;
if (!fs.existsSync(KEYS)) {
  const make = (kid) => {
    const { privateKey } = crypto.generateKeyPairSync("rsa", { modulusLength: 2048 });
    return { ...privateKey.export({ format: "jwk" }), kid, alg: "RS256", use: "sig" };
  };
  fs.writeFileSync(KEYS, JSON.stringify([make("one"), make("two")]));
}
const keys = JSON.parse(fs.readFileSync(KEYS));
// The first one signs; both are published.
keys.sort((a, b) => (b.kid === SIGN) - (a.kid === SIGN));

const common = {
  response_types: ["code"],
  grant_types: ["authorization_code", "refresh_token"],
  post_logout_redirect_uris: ["http://app.localhost/.auth/logout"],
};
const named = (name) => ({
  ...common,
  client_id: name,
  redirect_uris: [`http://app.localhost/.auth/callback/${name}`],
  backchannel_logout_uri: `${SITE}/.auth/backchannel/${name}`,
});
const clients = ["corp", "posted"].map((name) => ({ ...named(name), client_secret: process.env.CLIENT_SECRET }));
if (CLIENT_KEY) {
  const jwk = { ...crypto.createPublicKey(CLIENT_KEY).export({ format: "jwk" }), kid: "k1", alg: "ES256", use: "sig" };
  clients.push({ ...named("keyed"), token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [jwk] } });
}

const provider = new Provider(ISSUER, {
  clients,
  jwks: { keys },
  cookies: { keys: [crypto.randomBytes(32).toString("hex")] },
  features: { devInteractions: { enabled: true }, backchannelLogout: { enabled: true } },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  enabledJWA: { clientAuthSigningAlgValues: ["ES256", "RS256", "HS256"] },
  // Of itself it asks no address of this machine.
  fetch: (url, { method, headers, body, signal }) => fetch(url, { method, headers, body, signal, redirect: "manual" }),
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, name: id }),
  }),
});
provider.on("server_error", (ctx, error) => console.error("server_error", error));
provider.on("backchannel.error", (ctx, error) => console.error("backchannel.error", error));
const server = provider.listen(0, "127.0.0.1", () => console.log(`oidc-provider on port ${server.address().port} `));
