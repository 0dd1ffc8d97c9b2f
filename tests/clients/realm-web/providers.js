// Lines 15 to 24, 28 and 35 to 37 with accounts that are somebody else's. WAYS holds for each way to sign in a body that is
// good, one of another account, one that is not good, and what the profile says.
const assert = require("node:assert/strict");
const { Realm, app, check, claims, fresh, raw, refused, replies } = require("./harness");

const { Credentials } = Realm;
const ways = JSON.parse(process.env.WAYS);
const login = (provider, body) => raw("POST", `${app}/auth/providers/${provider}/login`, { body });
const device = { sdkVersion: "2.0.1", platform: "node", platformVersion: "20" };

/** The SDK's credentials that send this body. */
function credentials(provider, body) {
  switch (provider) {
    case "oauth2-google": return Credentials.google(body.authCode ? { authCode: body.authCode } : { idToken: body.id_token });
    case "oauth2-facebook": return Credentials.facebook(body.accessToken);
    case "oauth2-apple": return Credentials.apple(body.id_token);
    case "custom-token": return Credentials.jwt(body.token);
    default: return Credentials.function(body);
  }
}

const named = ({ provider, good }) => `${provider} ${Object.keys(good)[0]}`;

module.exports = async () => {
  const users = {};
  await check([15, 24], `people sign in by ${ways.map(named).join(", ")}, twice as the same user`, async () => {
    for (const way of ways) {
      const mine = fresh();
      const user = await mine.logIn(credentials(way.provider, way.good));
      assert.deepEqual(user.identities.map(({ providerType }) => providerType), [way.provider], named(way));
      const again = await mine.logIn(credentials(way.provider, way.good));
      assert.deepEqual([again.id, Object.keys(mine.allUsers).length], [user.id, 1], named(way));
      // One account, whichever way it is proved.
      assert.equal((users[way.provider] ??= user.id), user.id, named(way));
    }
    assert.equal(new Set(Object.values(users)).size, Object.keys(users).length);
  });
  await check([16, 17, 18, 19, 20, 21], "with and without options, with the type that other SDKs repeat", async () => {
    for (const way of ways) {
      const type = way.provider === "custom-function" ? {} : { provider: way.provider };
      for (const more of [{}, { options: {} }, { options: { device } }, { options: { device: { ...device, deviceId: { $oid: "5f1a2b3c4d5e6f7a8b9c0d1e" } } } }, type]) {
        const reply = await login(way.provider, { ...way.good, ...more });
        assert.deepEqual([reply.status, reply.type], [200, "application/json"], `${named(way)}: ${reply.body}`);
        const { user_id, access_token, refresh_token, device_id } = reply.json;
        assert.equal(user_id, users[way.provider]);
        assert.match(device_id, /^[0-9a-f]{24}$/);
        for (const token of [access_token, refresh_token]) assert.ok(Number.isInteger(claims(token).exp - claims(token).iat));
        assert.equal(claims(refresh_token).baas_identity.provider_type, way.provider);
      }
    }
  });
  await check(23, "what is not good is a 401 that is thrown once, and nothing is sent", async () => {
    const mine = fresh();
    await mine.logIn(Credentials.anonymous());
    for (const way of ways) {
      const before = replies.length;
      const error = await refused(mine.logIn(credentials(way.provider, way.bad)));
      assert.deepEqual([error.statusCode, error.errorCode], [401, "AuthError"], `${named(way)}: ${error.error}`);
      assert.notEqual(error.error, "unauthorized");
      assert.equal(replies.length, before + 1);
    }
    for (const { provider } of ways) {
      const reply = await login(provider, { options: { device } });
      assert.deepEqual([reply.status, reply.json.error_code], [401, "AuthError"], provider);
    }
    const stranger = await refused(mine.logIn(Credentials.google({ idToken: process.env.STRANGER })));
    assert.deepEqual([stranger.statusCode, stranger.errorCode], [403, "DomainNotAllowed"]);
    assert.ok(mine.currentUser.isLoggedIn);
  });
  await check(28, "the profile says what each provider told", async () => {
    for (const way of ways) {
      const user = await fresh().logIn(credentials(way.provider, way.good));
      for (const [name, value] of Object.entries(way.data)) assert.deepEqual(user.profile[name], value, `${named(way)}: ${name}`);
    }
  });
  await check([35, 36], "a guest links every one of them and keeps its id", async () => {
    const guest = await fresh().logIn(Credentials.anonymous());
    const before = [guest.id, guest.refreshToken];
    for (const way of ways) {
      await guest.linkCredentials(credentials(way.provider, way.other));
      assert.deepEqual([guest.id, guest.refreshToken], before, named(way));
      assert.ok(guest.identities.some(({ providerType }) => providerType === way.provider));
      assert.equal((await fresh().logIn(credentials(way.provider, way.other))).id, guest.id, named(way));
    }
    assert.deepEqual(guest.identities.map(({ providerType }) => providerType), ["anon-user", ...ways.map(({ provider }) => provider)]);
    // Once more is no fault, and changes nothing.
    await guest.linkCredentials(credentials(ways[0].provider, ways[0].other));
    assert.equal(guest.identities.length, ways.length + 1);
  });
  await check(37, "a refused link is thrown once, and says whose fault it is", async () => {
    const guest = await fresh().logIn(Credentials.anonymous(false));
    for (const way of ways) {
      for (const [body, status, code] of [[way.good, 409, "link.owned_by_another"], [way.bad, 401, "AuthError"]]) {
        const before = replies.length;
        const error = await refused(guest.linkCredentials(credentials(way.provider, body)));
        assert.deepEqual([error.statusCode, error.errorCode], [status, code], `${named(way)}: ${error.error}`);
        assert.notEqual(error.error, "unauthorized");
        assert.equal(replies.length, before + 1);
        assert.ok(guest.isLoggedIn);
      }
    }
  });
};
