// Lines 25 to 34: profiles and sessions.
const assert = require("node:assert/strict");
const { Realm, api, app, check, claims, fresh, password, raw, refused, replies, signedIn } = require("./harness");

const bad = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJ4In0.c2ln";

module.exports = async () => {
  await check([25, 26, 27], "the profile needs no app id and has type, identities and data", async () => {
    const { user, email } = await signedIn();
    for (const place of [api, app]) {
      const { json } = await raw("GET", `${place}/auth/profile`, { token: user.accessToken });
      assert.deepEqual([json.type, json.data, json.user_id], ["normal", { email }, user.id]);
      assert.deepEqual(json.identities.map(({ provider_type }) => provider_type), ["local-userpass"]);
      assert.match(json.identities[0].id, /^[0-9a-f]{24}$/);
      assert.match(json.domain_id, /^[0-9a-f]{24}$/);
    }
    const guest = await fresh().logIn(Realm.Credentials.anonymous());
    assert.deepEqual({ ...guest.profile }, {});
    assert.deepEqual([guest.profile.email, user.profile.email, user.profile.type ?? "normal"], [undefined, email, "normal"]);
    const server = await fresh().logIn(Realm.Credentials.apiKey(process.env.SERVER_KEY));
    assert.equal((await raw("GET", `${api}/auth/profile`, { token: server.accessToken })).json.type, "server");
  });
  await check(28, "names of fields are in snake case", async () => {
    const user = await fresh().logIn(Realm.Credentials.function({ user: "fay" }));
    const { data } = (await raw("GET", `${api}/auth/profile`, { token: user.accessToken })).json;
    assert.deepEqual([data.first_name, data.last_name, data.picture, data.picture_url], ["Fay", "Wray", "https://img.example.com/f.png", "https://img.example.com/f.png"]);
    assert.deepEqual([user.profile.firstName, user.profile.lastName, user.profile.pictureUrl, user.profile.minAge], ["Fay", "Wray", "https://img.example.com/f.png", 21]);
  });
  await check([29, 30, 31], "a bad access token is InvalidSession; one refresh and the retry succeeds", async () => {
    const { user } = await signedIn();
    for (const token of [bad, "x", "a.b.c", user.refreshToken, ""]) {
      const reply = await raw("GET", `${api}/auth/profile`, { token });
      assert.deepEqual([reply.status, reply.json.error_code], [401, "InvalidSession"], token);
    }
    user.accessToken = bad;
    const before = replies.length;
    await user.refreshProfile();
    assert.deepEqual(replies.slice(before).map(({ method, status }) => [method, status]), [["GET", 401], ["POST", 201], ["GET", 200]]);
    const refresh = user.refreshToken;
    await user.refreshCustomData();
    await user.refreshCustomData();
    assert.equal(user.refreshToken, refresh);
    const long = await raw("POST", `${app}/auth/session`, { token: refresh });
    assert.equal(claims(long.json.access_token).sub, user.id);
  });
  await check(32, "a dead refresh token is InvalidSession and the SDK is signed out", async () => {
    const { user } = await signedIn();
    await raw("DELETE", `${api}/auth/session`, { token: user.refreshToken });
    const error = await refused(user.refreshProfile());
    assert.deepEqual([error.statusCode, error.errorCode], [401, "InvalidSession"]);
    assert.equal(user.isLoggedIn, false);
    const access = await signedIn();
    const wrong = await raw("POST", `${api}/auth/session`, { token: access.user.accessToken });
    assert.deepEqual([wrong.status, wrong.json.error], [401, "invalid refresh token: incorrect token type"]);
  });
  await check(33, "the end of a session is empty, the second end says what SDKs look for", async () => {
    const { user } = await signedIn();
    const token = user.refreshToken;
    await user.logOut();
    const again = await raw("DELETE", `${api}/auth/session`, { token });
    assert.equal(again.status, 401);
    assert.ok(again.json.error.includes("failed to find refresh token"));
    const ended = await signedIn();
    await raw("DELETE", `${api}/auth/session`, { token: ended.user.refreshToken });
    await ended.user.logOut();
  });
  await check(34, "an account deletes itself, and its address is free again", async () => {
    const { user, email, app: mine } = await signedIn();
    await mine.deleteUser(user);
    const error = await refused(fresh().logIn(Realm.Credentials.emailPassword(email, password)));
    assert.deepEqual([error.statusCode, error.errorCode], [401, "InvalidPassword"]);
    await fresh().emailPasswordAuth.registerUser({ email, password });
    const again = await fresh().logIn(Realm.Credentials.emailPassword(email, password));
    assert.notEqual(again.id, user.id);
  });
};
