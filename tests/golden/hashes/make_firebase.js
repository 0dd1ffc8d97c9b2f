// npm install firebase-scrypt@2.2.0 && node make_firebase.js > firebase.txt
const { FirebaseScrypt } = require("firebase-scrypt");
const { randomBytes } = require("crypto");
const signerKey = Buffer.from("a signer key of sixty-four bytes, as projects of Firebase have..").toString("base64");
const project = { memCost: 14, rounds: 8, saltSeparator: "Bw==", signerKey };
(async () => {
  for (const password of ["correct horse battery", "x", "gr\u00fc\u00dfe aus k\u00f6ln \u2603"]) {
    const salt = randomBytes(12).toString("base64");
    const hash = await new FirebaseScrypt(project).hash(password, salt);
    console.log([password, project.memCost, project.rounds, project.saltSeparator, signerKey, salt, hash].join("\t"));
  }
})();
