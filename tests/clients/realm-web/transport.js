// Lines 1 to 11: how replies and requests look.
const assert = require("node:assert/strict");
const { Realm, api, app, check, fresh, plain, raw, refused, replies, signedIn, password, base } = require("./harness");

module.exports = async () => {
  const { user, app: mine, email } = await signedIn();
  await user.functions.echo({ n: 1 });
  const key = await user.apiKeys.create("transport");
  await user.apiKeys.disable(key._id);
  await user.apiKeys.enable(key._id);
  await refused(fresh().logIn(Realm.Credentials.emailPassword(email, "wrong")));
  await refused(user.apiKeys.fetch("5f1a2b3c4d5e6f7a8b9c0d1e"));
  await refused(user.functions.nosuch());
  await refused(fresh({ id: "other-abcde" }).logIn(Realm.Credentials.anonymous()));
  await mine.logIn(Realm.Credentials.anonymous());

  await check(1, "JSON replies are exactly application/json", () => {
    const full = replies.filter((reply) => reply.body !== "");
    assert.ok(full.length > 10);
    for (const reply of full) assert.equal(reply.type, "application/json", JSON.stringify(reply));
  });
  await check(2, "replies without a result carry no body and no type", () => {
    const empty = replies.filter((reply) => reply.body === "" && reply.status < 300);
    assert.ok(empty.some((reply) => reply.status === 201) && empty.some((reply) => reply.status === 204));
    for (const reply of empty) assert.equal(reply.type, null, JSON.stringify(reply));
  });
  await check([3, 4], "no reply is of another type, none is an empty JSON", () => {
    for (const reply of replies) assert.ok(reply.type === null ? reply.body === "" : JSON.parse(reply.body) !== undefined);
  });
  await check(5, "errors are JSON of strings with a fitting status", async () => {
    const errors = replies.filter((reply) => reply.status >= 300);
    assert.ok(errors.length >= 4);
    for (const reply of errors) {
      const { error, error_code, link, ...more } = JSON.parse(reply.body);
      assert.deepEqual(more, {});
      assert.ok(typeof error === "string" && error && (error_code === undefined || typeof error_code === "string"));
      assert.ok(link.startsWith(base) && link.includes("logs?co_id="), link);
    }
    const error = await refused(user.apiKeys.fetch("5f1a2b3c4d5e6f7a8b9c0d1e"));
    assert.deepEqual([error.statusCode, error.errorCode, error.error], [404, "APIKeyNotFound", "API key not found"]);
  });
  await check(6, "canonical Extended JSON in requests is understood", async () => {
    const sent = { int: 7, big: 5_000_000_000, half: 1.5, no: null, yes: true, text: "ä", at: new Date(0), id: new Realm.BSON.ObjectId("5f1a2b3c4d5e6f7a8b9c0d1e") };
    const back = await user.functions.typed(sent);
    assert.deepEqual(back, "number number number object boolean string 1970-01-01T00:00:00Z 5f1a2b3c4d5e6f7a8b9c0d1e");
    const again = await user.functions.echo(sent);
    assert.deepEqual([again.int, again.big, again.half, again.at.getTime(), again.id.toHexString()], [7, 5e9, 1.5, 0, "5f1a2b3c4d5e6f7a8b9c0d1e"]);
  });
  await check(7, "relaxed replies become numbers", async () => {
    assert.deepEqual(await user.functions.numbers(), { whole: 3, half: 0.5, list: [1, -2], long: 4_294_967_296 });
  });
  await check(8, "POST, PUT and DELETE without body and type are accepted", async () => {
    const login = await raw("POST", `${app}/auth/providers/anon-user/login`);
    assert.equal(login.status, 200);
    assert.equal((await raw("POST", `${api}/auth/session`, { token: login.json.refresh_token })).status, 201);
    const typed = { headers: { "content-type": "application/json;charset=utf-8" }, token: login.json.refresh_token };
    assert.equal((await raw("POST", `${api}/auth/session`, typed)).status, 201);
    assert.equal((await raw("PUT", `${api}/auth/api_keys/${key._id}/disable`, { token: user.refreshToken })).status, 204);
    assert.equal((await raw("DELETE", `${api}/auth/session`, { token: login.json.refresh_token })).status, 204);
  });
  await check(9, "a superfluous Authorization on e-mail endpoints is ignored", async () => {
    for (const [number, token] of ["garbage", "null", user.accessToken, user.refreshToken].entries()) {
      const reply = await raw("POST", `${app}/auth/providers/local-userpass/register`, { token, body: { email: `nine-${number}@example.com`, password } });
      assert.equal(reply.status, 201, reply.body);
    }
  });
  await check(10, "Bearer null is 401 InvalidSession", async () => {
    for (const [method, path] of [["GET", "profile"], ["POST", "session"], ["DELETE", "session"], ["GET", "api_keys"], ["DELETE", "delete"]]) {
      const reply = await raw(method, `${api}/auth/${path}`, { token: "null" });
      assert.deepEqual([reply.status, reply.json.error_code], [401, "InvalidSession"], path);
    }
    const guest = fresh();
    const user = await guest.logIn(Realm.Credentials.anonymous());
    await user.logOut();
    assert.equal((await refused(guest.logIn(Realm.Credentials.anonymous()))).statusCode, 401);
  });
  await check(11, "preflights allow what the SDK sends, and errors can be read by pages", async () => {
    const origin = "https://app.example.com";
    for (const [path, method, fields] of [[`app/${appId()}/auth/providers/anon-user/login`, "POST", "content-type"], ["auth/profile", "GET", "authorization"], ["auth/api_keys", "POST", "authorization,content-type"], ["auth/api_keys/x/enable", "PUT", "authorization"], ["auth/delete", "DELETE", "authorization"]]) {
      const reply = await plain("OPTIONS", `${api}/${path}`, { origin, "access-control-request-method": method, "access-control-request-headers": fields });
      assert.ok(reply.status < 300, String(reply.status));
      assert.equal(reply.headers["access-control-allow-origin"], origin);
      assert.ok(reply.headers["access-control-allow-methods"].includes(method));
      for (const field of fields.split(",")) assert.ok(reply.headers["access-control-allow-headers"].includes(field), field);
      assert.equal(reply.headers["content-type"], undefined);
    }
    const error = await plain("GET", `${api}/auth/profile`, { origin, authorization: "Bearer x" });
    assert.deepEqual([error.status, error.headers["access-control-allow-origin"]], [401, origin]);
    assert.equal(error.headers["access-control-allow-credentials"], undefined);
  });
};

const appId = () => require("./harness").appId;
