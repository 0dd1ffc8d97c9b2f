// Lines 12 to 14: where the app lives.
const assert = require("node:assert/strict");
const { Realm, app, api, base, check, fresh, raw, refused } = require("./harness");

module.exports = async () => {
  await check([12, 13], "location needs no token and names a host without a slash at its end, where later calls go", async () => {
    const { json } = await raw("GET", `${app}/location`);
    assert.equal(json.hostname, base);
    assert.ok(!json.hostname.endsWith("/") && json.ws_hostname === base.replace("http", "ws"));
    assert.deepEqual([json.deployment_model, json.location], ["GLOBAL", "US-VA"]);
    assert.ok((await fresh().logIn(Realm.Credentials.anonymous())).id);
  });
  await check(14, "an unknown app is a 404 in JSON, and asking again works", async () => {
    const other = fresh({ id: "other-abcde" });
    for (let time = 0; time < 2; time += 1) {
      const error = await refused(other.logIn(Realm.Credentials.anonymous()));
      assert.deepEqual([error.statusCode, error.errorCode], [404, undefined]);
      assert.equal(error.error, "cannot find app using Client App ID 'other-abcde'");
    }
    for (const path of ["auth/providers/anon-user/login", "functions/call"]) {
      assert.equal((await raw("POST", `${api}/app/other-abcde/${path}`)).status, 404);
    }
  });
};
