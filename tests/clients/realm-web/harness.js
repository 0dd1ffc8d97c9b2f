// What every group of checks uses: the unmodified SDK, a record of what went over the wire, and one line per check.
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");

const base = process.env.BASE;
const appId = process.env.APP_ID;
const api = `${base}/api/client/v2.0`;
const app = `${api}/app/${appId}`;

// The SDK binds `fetch` when it is loaded: it must be this one by then.
const replies = [];
const direct = globalThis.fetch;
globalThis.fetch = async (url, options = {}) => {
  if (replies.length > 5000) throw new Error("the SDK asks for ever");
  const reply = await direct(url, options);
  const body = await reply.clone().text();
  replies.push({ method: options.method ?? "GET", url: String(url), status: reply.status, type: reply.headers.get("content-type"), body });
  return reply;
};
const Realm = require("realm-web");

let failed = 0;

/** One line of the checklist: its numbers, what it claims, and the proof. */
async function check(numbers, claim, proof) {
  try {
    await proof();
    for (const number of [numbers].flat()) console.log(`ok ${number} - ${claim}`);
  } catch (error) {
    failed += 1;
    for (const number of [numbers].flat()) console.log(`not ok ${number} - ${claim}\n  ${error.stack.replaceAll("\n", "\n  ")}`);
  }
}

/** A request without the SDK. */
async function raw(method, url, { token, body, headers = {} } = {}) {
  const sent = { ...headers };
  if (token !== undefined) sent.authorization = `Bearer ${token}`;
  if (body !== undefined) sent["content-type"] ??= "application/json";
  const reply = await direct(url, { method, headers: sent, body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body), redirect: "manual" });
  const text = await reply.text();
  const type = reply.headers.get("content-type");
  const seen = { method, url, status: reply.status, type, body: text, headers: reply.headers, json: type === "application/json" ? JSON.parse(text) : undefined };
  replies.push(seen);
  return seen;
}

/** A request with header fields that `fetch` keeps to itself. */
function plain(method, url, headers) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers }, (reply) => {
      let body = "";
      reply.on("data", (chunk) => (body += chunk)).on("end", () => resolve({ status: reply.statusCode, headers: reply.headers, body }));
    });
    request.on("error", reject).end();
  });
}

/** The error a promise ends with. */
async function refused(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it was not refused");
}

let apps = 0;

/** An app of its own: nothing is shared with others. */
function fresh(settings = {}) {
  apps += 1;
  const entries = {};
  const store = (prefix) => ({
    get: (key) => entries[prefix + key] ?? null,
    set: (key, value) => void (entries[prefix + key] = value),
    remove: (key) => void delete entries[prefix + key],
    clear: (part = "") => Object.keys(entries).filter((key) => key.startsWith(prefix + part)).forEach((key) => delete entries[key]),
    prefix: (part) => store(`${prefix}${part}:`),
    addListener() {},
    removeListener() {},
  });
  const made = new Realm.App({ id: appId, baseUrl: base, storage: store(""), ...settings });
  made.entries = entries;
  return made;
}

const password = "copper-lantern-47";
let people = 0;

/** An account with e-mail and password, registered through the SDK. */
async function person(on = fresh()) {
  people += 1;
  const email = `person-${process.pid}-${people}@example.com`;
  await on.emailPasswordAuth.registerUser({ email, password });
  return { email, password };
}

/** Somebody signed in by e-mail and password. */
async function signedIn(on = fresh()) {
  const { email } = await person(on);
  const user = await on.logIn(Realm.Credentials.emailPassword(email, password));
  return { user, email, app: on };
}

/** The latest mail to this address with a link to this page, as soon as it is there: what the link carries. */
async function link(address, page) {
  const folder = path.join(process.cwd(), "outbox");
  fs.mkdirSync(folder, { recursive: true });
  const find = () => {
    const files = fs.readdirSync(folder).filter((name) => name.endsWith(".eml")).map((name) => path.join(folder, name));
    files.sort((a, b) => fs.statSync(b).mtimeMs - fs.statSync(a).mtimeMs);
    for (const file of files) {
      const mail = fs.readFileSync(file, "utf8");
      if (!mail.includes(address)) continue;
      const joined = mail.replace(/=\r?\n/g, "").replaceAll("=3D", "=");
      const blocks = [...mail.matchAll(/^(?:[A-Za-z0-9+/]{40,}={0,2}\r?\n)+(?:[A-Za-z0-9+/]+={0,2})?/gm)].map(([block]) => Buffer.from(block, "base64").toString("utf8"));
      const found = new RegExp(`/${page}\\?token=([\\w-]+)&(?:amp;)?tokenId=(\\w+)`).exec([joined, ...blocks].join("\n"));
      if (found) return { token: found[1], tokenId: found[2] };
    }
  };
  const watch = fs.watch(folder);
  try {
    return find() ?? (await new Promise((resolve) => watch.on("change", () => { const it = find(); if (it) resolve(it); })));
  } finally {
    watch.close();
  }
}

const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());

module.exports = { Realm, api, app, appId, base, check, claims, fresh, link, password, person, plain, raw, refused, replies, signedIn, done: () => process.exit(failed ? 1 : 0) };
