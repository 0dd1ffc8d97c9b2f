// Line 50: calling functions.
const assert = require("node:assert/strict");
const { Realm, app, check, fresh, raw, refused, signedIn } = require("./harness");

module.exports = async () => {
  const { user, email } = await signedIn();
  await check(50, "a function is called with the access token and knows who calls", async () => {
    const who = await user.functions.whoami();
    assert.deepEqual([who.id, who.type, who.data], [user.id, "normal", { email }]);
    assert.deepEqual(who.identities.map(({ provider_type }) => provider_type), ["local-userpass"]);
    assert.deepEqual(who.custom_data, {});
    for (const [value, back] of [[null, null], [undefined, null], ["x", "x"], [7, 7], [[1, [2]], [1, [2]]], [false, false]]) {
      assert.deepEqual(await user.functions.echo(value), back);
    }
    const nothing = await raw("POST", `${app}/functions/call`, { token: user.accessToken, body: { name: "nothing", arguments: [] } });
    assert.deepEqual([nothing.status, nothing.json], [200, { $undefined: true }]);
    assert.equal(await user.callFunction("deep/add", 2, 3), 5);
    for (const [name, status, code, text] of [
      ["nosuch", 404, "FunctionNotFound", /^function not found/],
      ["secret", 404, "FunctionNotFound", /^function not found/],
      ["auth", 404, "FunctionNotFound", /^function not found/],
      ["throws", 400, "FunctionExecutionError", /^no such thing$/],
    ]) {
      const error = await refused(user.callFunction(name));
      assert.deepEqual([error.statusCode, error.errorCode], [status, code], name);
      assert.match(error.error, text);
    }
    const stranger = await raw("POST", `${app}/functions/call`, { body: { name: "echo", arguments: [] } });
    assert.equal(stranger.status, 401);
    const service = await raw("POST", `${app}/functions/call`, { token: user.accessToken, body: { name: "find", arguments: [], service: "mongodb-atlas" } });
    assert.deepEqual([service.status, service.json.error_code], [404, "ServiceNotFound"]);
  });
};
