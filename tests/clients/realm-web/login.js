// Lines 15 to 24: signing in.
const assert = require("node:assert/strict");
const { Realm, app, check, claims, fresh, password, raw, refused, replies, signedIn, person } = require("./harness");

const login = (provider, body) => raw("POST", `${app}/auth/providers/${provider}/login`, body === undefined ? {} : { body });

module.exports = async () => {
  const { email } = await person();
  const { user: owner } = await signedIn();
  const { key } = await owner.apiKeys.create("login");
  const ways = JSON.parse(process.env.WAYS ?? "{}");
  const all = {
    "anon-user": {},
    "local-userpass": { username: email, password },
    "api-key": { key },
    "custom-function": { user: "fay", n: { $numberInt: "7" } },
    ...ways,
  };
  await check(15, `every provider answers: ${Object.keys(all)}`, async () => {
    for (const [provider, body] of Object.entries(all)) {
      const reply = await login(provider, { ...body, options: { device: { sdkVersion: "2.0.1", platform: "node", platformVersion: "20" } } });
      assert.equal(reply.status, 200, `${provider}: ${reply.body}`);
    }
    const credentials = [Realm.Credentials.anonymous(false), Realm.Credentials.emailPassword(email, password), Realm.Credentials.apiKey(key), Realm.Credentials.function({ user: "fay", n: 7 })];
    if (ways["custom-token"]) credentials.push(Realm.Credentials.jwt(ways["custom-token"].token));
    if (ways["oauth2-google"]) credentials.push(Realm.Credentials.google({ idToken: ways["oauth2-google"].id_token }));
    if (ways["oauth2-facebook"]) credentials.push(Realm.Credentials.facebook(ways["oauth2-facebook"].accessToken));
    if (ways["oauth2-apple"]) credentials.push(Realm.Credentials.apple(ways["oauth2-apple"].id_token));
    for (const credential of credentials) {
      const user = await fresh().logIn(credential);
      assert.ok(user.isLoggedIn, credential.providerType);
      assert.ok(user.identities.some((identity) => identity.providerType === credential.providerType), credential.providerType);
    }
    const missing = await login("oauth2-nobody", {});
    assert.deepEqual([missing.status, missing.json.error_code], [404, "AuthProviderNotFound"]);
  });
  await check([16, 17], "the reply has four strings", async () => {
    for (const [provider, body] of Object.entries(all)) {
      const { json } = await login(provider, body);
      assert.match(json.user_id, /^[0-9a-f]{24}$/);
      for (const name of ["access_token", "refresh_token", "device_id"]) assert.equal(typeof json[name], "string");
      assert.equal(claims(json.access_token).sub, json.user_id);
    }
  });
  await check([18, 19, 20], "device ids are 24 digits, come back in both spellings, and zeros mean none", async () => {
    const bare = await login("anon-user", {});
    assert.equal(bare.json.device_id, "0".repeat(24));
    const first = await login("anon-user", { options: { device: { platform: "node" } } });
    const id = first.json.device_id;
    assert.match(id, /^[0-9a-f]{24}$/);
    assert.notEqual(id, "0".repeat(24));
    for (const deviceId of [id, { $oid: id }]) {
      const again = await login("anon-user", { options: { device: { platform: "node", deviceId } } });
      assert.equal(again.json.device_id, id);
      assert.equal(claims(again.json.access_token).baas_device_id, id);
    }
    const odd = await login("anon-user", { options: { device: { platform: "node", deviceId: "odd" } } });
    assert.match(odd.json.device_id, /^[0-9a-f]{24}$/);
    const mine = fresh();
    const user = await mine.logIn(Realm.Credentials.anonymous());
    const other = await mine.logIn(Realm.Credentials.emailPassword(email, password));
    assert.equal(other.deviceId, user.deviceId);
    assert.match(user.deviceId, /^[0-9a-f]{24}$/);
  });
  await check(21, "the access token has three parts and numeric times, 30 minutes apart", async () => {
    const { json } = await login("local-userpass", all["local-userpass"]);
    for (const token of [json.access_token, json.refresh_token]) {
      assert.equal(token.split(".").length, 3);
      const { exp, iat } = claims(token);
      assert.ok(Number.isInteger(exp) && Number.isInteger(iat));
    }
    const access = claims(json.access_token);
    const refresh = claims(json.refresh_token);
    assert.deepEqual([access.exp - access.iat, refresh.exp - refresh.iat], [1800, 60 * 24 * 3600]);
    assert.deepEqual([access.typ, refresh.typ, access.sid], ["access", "refresh", refresh.baas_id]);
    assert.equal(refresh.baas_identity.provider_type, "local-userpass");
  });
  await check(22, "custom data is an object, {} without any", async () => {
    const user = await fresh().logIn(Realm.Credentials.emailPassword(email, password));
    assert.deepEqual(user.customData, {});
    const known = await fresh().logIn(Realm.Credentials.emailPassword(process.env.KNOWN, password));
    assert.deepEqual(known.customData, { plan: "pro", owner: { $oid: "5f1a2b3c4d5e6f7a8b9c0d1e" }, "größe": 1.5 });
  });
  await check(23, "a failed sign-in is a 401 that is thrown once", async () => {
    const mine = fresh();
    await mine.logIn(Realm.Credentials.anonymous());
    for (const [credentials, code, text] of [
      [Realm.Credentials.emailPassword(email, "wrong"), "InvalidPassword", "invalid username/password"],
      [Realm.Credentials.emailPassword("nobody@example.com", password), "InvalidPassword", "invalid username/password"],
      [Realm.Credentials.apiKey("nonsense"), "AuthError", "invalid API key"],
      [Realm.Credentials.function({ user: "nobody" }), "AuthError", "nobody is not known"],
    ]) {
      const before = replies.length;
      const error = await refused(mine.logIn(credentials));
      assert.deepEqual([error.statusCode, error.errorCode, error.error], [401, code, text]);
      assert.equal(replies.length, before + 1);
    }
    assert.ok(mine.currentUser.isLoggedIn);
  });
  await check(24, "a second sign-in is the same user", async () => {
    const mine = fresh();
    const credentials = Realm.Credentials.emailPassword(email, password);
    const [first, second] = [await mine.logIn(credentials), await mine.logIn(credentials)];
    assert.equal(first.id, second.id);
    assert.equal(Object.keys(mine.allUsers).length, 1);
    const byKey = await fresh().logIn(Realm.Credentials.apiKey(key));
    assert.equal(byKey.id, owner.id);
  });
};
