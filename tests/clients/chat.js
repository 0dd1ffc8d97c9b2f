// Serves the chat page that comes with the `gun` package, and its WebSocket relay, on a free port.
const http = require("node:http");
const path = require("node:path");
const Gun = require("gun");

const pages = path.join(path.dirname(require.resolve("gun/package.json")), "examples");
const server = http.createServer(Gun.serve(pages));
server.listen(0, "127.0.0.1", () => {
  Gun({ web: server, file: path.join(process.cwd(), "data"), multicast: false, axe: false });
  console.log(`chat on port ${server.address().port} `);
});
