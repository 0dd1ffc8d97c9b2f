// Drives the unmodified realm-web against a server: `BASE=… APP_ID=… node checklist.js GROUP`. One line per line of the
// checklist, `ok N - claim` or `not ok N - claim`; the exit code is 1 if any is not.
const { done } = require("./harness");

require(`./${process.argv[2]}`)().then(done, (error) => {
  console.log(`not ok ${process.argv[2]} - ${error.stack}`);
  process.exit(1);
});
