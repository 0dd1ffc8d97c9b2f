// Lines 35 to 37: several ways to sign in.
const assert = require("node:assert/strict");
const { Realm, app, check, fresh, password, person, raw, refused, replies, signedIn } = require("./harness");

const { Credentials } = Realm;

module.exports = async () => {
  const mine = fresh();
  const guest = await mine.logIn(Credentials.anonymous());
  const { email } = await person(mine);
  await check([35, 36], "a guest becomes an account and keeps its id, its session and its first identity", async () => {
    const before = [guest.id, guest.refreshToken];
    await guest.linkCredentials(Credentials.emailPassword(email, password));
    assert.deepEqual([guest.id, guest.refreshToken], before);
    assert.deepEqual(guest.identities.map(({ providerType }) => providerType), ["anon-user", "local-userpass"]);
    assert.equal(guest.profile.email, email);
    await guest.refreshCustomData();
    assert.equal((await fresh().logIn(Credentials.emailPassword(email, password))).id, guest.id);
    await guest.linkCredentials(Credentials.function({ user: "fay" }));
    assert.deepEqual(guest.identities.map(({ providerType }) => providerType), ["anon-user", "local-userpass", "custom-function"]);
    assert.equal((await fresh().logIn(Credentials.function({ user: "fay" }))).id, guest.id);
    const bare = await raw("POST", `${app}/auth/providers/custom-function/login?link=true`, { token: guest.accessToken, body: { user: "fay" } });
    assert.deepEqual([bare.status, bare.json.user_id, typeof bare.json.access_token, bare.json.device_id], [200, guest.id, "string", guest.deviceId]);
    const key = await guest.apiKeys.create("own");
    await guest.linkCredentials(Credentials.apiKey(key.key));
  });
  await check(37, "a refused link is never what makes the SDK ask for ever", async () => {
    const { user } = await signedIn();
    const { email: second } = await person();
    const { email: used } = await signedIn();
    const other = await guest.apiKeys.create("other");
    const stranger = await fresh().logIn(Credentials.anonymous(false));
    for (const [who, credentials, status, code] of [
      [user, Credentials.function({ user: "fay" }), 409, "link.owned_by_another"],
      [user, Credentials.emailPassword(second, password), 409, "link.second_email_account"],
      [stranger, Credentials.emailPassword(used, password), 409, "link.owned_by_another"],
      [stranger, Credentials.anonymous(false), 409, "link.guest_credential"],
      [user, Credentials.apiKey(other.key), 400, "InvalidParameter"],
      [user, Credentials.apiKey("nonsense"), 401, "AuthError"],
      [user, Credentials.function({ user: "nobody" }), 401, "AuthError"],
      [user, Credentials.function({ user: "throws unauthorized" }), 401, "AuthError"],
      [user, Credentials.emailPassword(used, "wrong"), 401, "InvalidPassword"],
    ]) {
      const before = replies.length;
      const error = await refused(who.linkCredentials(credentials));
      assert.deepEqual([error.statusCode, error.errorCode], [status, code], error.error);
      assert.notEqual(error.error, "unauthorized");
      assert.equal(replies.length, before + 1);
      assert.ok(who.isLoggedIn);
    }
  });
};
