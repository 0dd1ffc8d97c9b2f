// Lines 41 to 44: API keys.
const assert = require("node:assert/strict");
const { Realm, api, app, check, fresh, raw, refused, signedIn } = require("./harness");

module.exports = async () => {
  const { user } = await signedIn();
  const made = [];
  await check(41, "all calls take the refresh token, and no other", async () => {
    for (const place of [api, app]) {
      assert.equal((await raw("GET", `${place}/auth/api_keys`, { token: user.refreshToken })).status, 200);
      assert.equal((await raw("GET", `${place}/auth/api_keys`, { token: user.accessToken })).status, 401);
      const bare = await raw("GET", `${place}/auth/api_keys`);
      assert.deepEqual([bare.status, bare.json.error], [401, "must authenticate first"]);
    }
  });
  await check(42, "a key is shown when it is made, and never again", async () => {
    for (const name of ["first", "second-2", "third_3"]) {
      const key = await user.apiKeys.create(name);
      assert.deepEqual(Object.keys(key).sort(), ["_id", "disabled", "key", "name"]);
      assert.deepEqual([key.name, key.disabled], [name, false]);
      made.push(key);
    }
    const shown = made.map(({ _id, name, disabled }) => ({ _id, name, disabled }));
    assert.deepEqual(await user.apiKeys.fetchAll(), shown);
    assert.deepEqual(await user.apiKeys.fetch(made[1]._id), shown[1]);
    for (const [name, status, code, text] of [
      ["first", 409, "APIKeyAlreadyExists", "an API key with that name already exists"],
      ["no blanks", 400, "InvalidParameter", "can only contain ASCII letters, numbers, underscores, and hyphens"],
      ["", 400, undefined, "'name' is a required string"],
    ]) {
      const error = await refused(user.apiKeys.create(name));
      assert.deepEqual([error.statusCode, error.errorCode, error.error], [status, code, text]);
    }
    const guest = await fresh().logIn(Realm.Credentials.anonymous());
    assert.equal((await refused(guest.apiKeys.create("mine"))).statusCode, 403);
  });
  await check(43, "_id is a string that stands in paths", () => {
    for (const { _id } of made) assert.match(_id, /^[0-9a-f]{24}$/);
  });
  await check(44, "enable, disable and delete are empty; unknown keys are 404", async () => {
    const [key, spare] = made;
    for (const step of ["disable", "disable", "enable", "enable", "disable"]) {
      const reply = await raw("PUT", `${api}/auth/api_keys/${key._id}/${step}`, { token: user.refreshToken });
      assert.deepEqual([reply.status, reply.type, reply.body], [204, null, ""]);
    }
    assert.equal((await refused(fresh().logIn(Realm.Credentials.apiKey(key.key)))).errorCode, "AuthError");
    await user.apiKeys.enable(key._id);
    const byKey = await fresh().logIn(Realm.Credentials.apiKey(key.key));
    assert.equal(byKey.id, user.id);
    assert.equal((await refused(byKey.apiKeys.delete(key._id))).statusCode, 403);
    await user.apiKeys.delete(key._id);
    assert.equal((await refused(fresh().logIn(Realm.Credentials.apiKey(key.key)))).errorCode, "AuthError");
    assert.equal((await refused(byKey.refreshProfile())).errorCode, "InvalidSession");
    const { user: other } = await signedIn();
    for (const [who, id] of [[user, key._id], [user, "nonsense"], [other, spare._id]]) {
      for (const step of ["fetch", "enable", "disable", "delete"]) {
        const error = await refused(who.apiKeys[step](id));
        assert.deepEqual([error.statusCode, error.errorCode, error.error], [404, "APIKeyNotFound", "API key not found"]);
      }
    }
  });
};
