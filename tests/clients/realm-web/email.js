// Lines 38 to 40: accounts with e-mail and password. BY says who decides: "mail", "function" or "automatic".
const assert = require("node:assert/strict");
const { Realm, app, check, fresh, link, password, raw, refused, replies } = require("./harness");

const at = `${app}/auth/providers/local-userpass`;
const post = (path, body) => raw("POST", `${at}/${path}`, { body });

async function byMail() {
  const mine = fresh();
  const email = "mia@example.com";
  const auth = mine.emailPasswordAuth;
  await mine.logIn(Realm.Credentials.anonymous());
  await check(38, "the seven paths do what they say", async () => {
    await auth.registerUser({ email, password });
    assert.equal((await refused(mine.logIn(Realm.Credentials.emailPassword(email, password)))).statusCode, 401);
    const first = await link(email, "confirm");
    await auth.resendConfirmationEmail({ email });
    await auth.confirmUser(first);
    const user = await mine.logIn(Realm.Credentials.emailPassword(email, password));
    const used = await refused(auth.confirmUser(first));
    assert.deepEqual([used.statusCode, used.errorCode, used.error], [400, "UserpassTokenInvalid", "userpass token is expired or invalid"]);
    await auth.sendResetPasswordEmail({ email });
    await auth.resetPassword({ ...(await link(email, "reset")), password: "another-lantern-48" });
    assert.equal((await refused(fresh().logIn(Realm.Credentials.emailPassword(email, password)))).errorCode, "InvalidPassword");
    assert.equal((await fresh().logIn(Realm.Credentials.emailPassword(email, "another-lantern-48"))).id, user.id);
    const confirmed = await refused(auth.resendConfirmationEmail({ email }));
    assert.deepEqual([confirmed.statusCode, confirmed.errorCode, confirmed.error], [400, "UserAlreadyConfirmed", "already confirmed"]);
  });
  await check(39, "no answer makes the SDK ask again", async () => {
    const before = replies.length;
    const cases = [
      ["register", { email, password }, 409, "AccountNameInUse", "name already in use"],
      ["register", { email: "short@example.com", password: "x" }, 400, "BadRequest", "password must be between 8 and 128 characters"],
      ["register", { email: "odd", password }, 400, "BadRequest", "email invalid"],
      ["register", { email: "no@example.com" }, 400, "MissingParameter", "'password' is a required string"],
      ["confirm", { token: "x", tokenId: "y" }, 400, "BadRequest", "invalid token data"],
      ["confirm", {}, 400, "BadRequest", "invalid token data"],
      ["confirm/send", { email: "nobody@example.com" }, 404, "UserNotFound", "user not found"],
      ["confirm/call", { email: "nobody@example.com" }, 404, "UserNotFound", "user not found"],
      ["reset/send", { email: "nobody@example.com" }, 404, "UserNotFound", "user not found"],
      ["reset", { token: "x", tokenId: "y", password }, 400, "BadRequest", "invalid token data"],
    ];
    for (const [path, body, status, code, error] of cases) {
      const reply = await post(path, body);
      assert.deepEqual([reply.status, reply.json.error_code, reply.json.error], [status, code, error], path);
    }
    for (const { status, body } of replies.slice(before)) assert.ok(status !== 401, body);
    assert.ok((await refused(mine.emailPasswordAuth.registerUser({ email, password }))).error === "name already in use");
  });
  await check(40, "reset/call takes arguments as a list, also none", async () => {
    for (const given of [[], [1, "x", { a: 1.5 }]]) {
      const error = await refused(mine.emailPasswordAuth.callResetPasswordFunction({ email, password }, ...given));
      assert.equal(error.statusCode, 400);
      assert.equal(error.error, "please use reset password via email");
    }
    const odd = await post("reset/call", { email, password, arguments: "x" });
    assert.deepEqual([odd.status, odd.json.error], [400, "'arguments' must be an array"]);
  });
}

async function automatically() {
  await check([38, 39, 40], "with automatic confirmation the others say so", async () => {
    const { emailPasswordAuth: auth } = fresh();
    await auth.registerUser({ email: "auto@example.com", password });
    const error = await refused(auth.retryCustomConfirmation({ email: "auto@example.com" }));
    assert.equal(error.error, "cannot run confirmation for auto@example.com: automatic confirmation is enabled");
    assert.equal(error.statusCode, 400);
  });
}

async function byFunction() {
  const { emailPasswordAuth: auth } = fresh();
  const email = "success-1@example.com";
  const log = (secret) => fresh().logIn(Realm.Credentials.emailPassword(email, secret));
  await check(38, "a function confirms, waits, or refuses", async () => {
    await auth.registerUser({ email, password });
    assert.ok((await log(password)).isLoggedIn);
    await auth.registerUser({ email: "pending-1@example.com", password });
    await auth.retryCustomConfirmation({ email: "pending-1@example.com" });
    const failed = await refused(auth.registerUser({ email: "fail-1@example.com", password }));
    assert.deepEqual([failed.statusCode, failed.errorCode, failed.error], [400, "BadRequest", 'failed to confirm user "fail-1@example.com"']);
  });
  await check(39, "what is for mails says that a function is used", async () => {
    for (const [asked, status, text] of [
      [() => auth.resendConfirmationEmail({ email: "pending-1@example.com" }), 400, "please use confirm via function"],
      [() => auth.sendResetPasswordEmail({ email }), 400, "please use reset password via function"],
      [() => auth.retryCustomConfirmation({ email }), 400, "already confirmed"],
      [() => auth.retryCustomConfirmation({ email: "nobody@example.com" }), 404, "user not found"],
      [() => auth.registerUser({ email, password }), 409, "name already in use"],
    ]) {
      const error = await refused(asked());
      assert.deepEqual([error.statusCode, error.error], [status, text]);
    }
  });
  await check(40, "a reset function gets the arguments as a list, also none", async () => {
    await auth.callResetPasswordFunction({ email, password });
    assert.ok((await log(password)).isLoggedIn);
    await auth.callResetPasswordFunction({ email, password: "another-lantern-48" }, "why", { n: 1.5 });
    assert.equal((await refused(log(password))).errorCode, "InvalidPassword");
    assert.ok((await log("another-lantern-48")).isLoggedIn);
    const failed = await refused(auth.callResetPasswordFunction({ email, password }, 1));
    assert.deepEqual([failed.statusCode, failed.error], [400, `failed to reset password for user "${email}"`]);
    const nobody = await refused(auth.callResetPasswordFunction({ email: "nobody@example.com", password }));
    assert.deepEqual([nobody.statusCode, nobody.errorCode], [404, "UserNotFound"]);
  });
}

const ways = { mail: byMail, function: byFunction, automatic: automatically };

module.exports = () => ways[process.env.BY]();
