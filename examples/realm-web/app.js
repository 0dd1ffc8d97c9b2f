// An app that was written against App Services. The base URL is the one line that names its new home.
const app = new Realm.App({ id: "blog-abcde", baseUrl: document.body.dataset.base || location.origin });

const { Credentials } = Realm;
const redirect = new URL("redirect.html", location.href).href;
const show = (id, text) => (document.getElementById(id).textContent = text);

/** Shows who is signed in, by which ways. */
function refresh() {
  const user = app.currentUser;
  if (!user) return show("who", "Nobody is signed in.");
  const ways = user.identities.map((identity) => identity.providerType).join(", ");
  show("who", `${user.profile.email ?? "A guest"} (${user.id}): ${ways}`);
}

/** Does something, and says how it went. */
async function step(words, deed) {
  show("told", "…");
  try {
    show("told", (await deed()) ?? words);
  } catch (error) {
    show("told", `Sorry: ${error.error ?? error.message}`);
  }
  refresh();
}

const on = (id, words, deed) => document.getElementById(id).addEventListener("click", () => step(words, deed));

on("guest", "Welcome, guest.", () => app.logIn(Credentials.anonymous()).then(() => undefined));
on("google", "Welcome.", () => app.logIn(Credentials.google({ redirectUrl: redirect })).then(() => undefined));
on("link", "Your Google account is added.", () => app.currentUser.linkCredentials(Credentials.google({ redirectUrl: redirect })));
on("key", "", async () => `Your key, shown this once: ${(await app.currentUser.apiKeys.create(`web-${Date.now()}`)).key}`);
on("out", "Good-bye.", () => app.currentUser.logOut());

document.getElementById("account").addEventListener("submit", (event) => {
  event.preventDefault();
  const email = event.target.email.value;
  const password = event.target.password.value;
  const deeds = {
    register: ["You can sign in now.", () => app.emailPasswordAuth.registerUser({ email, password })],
    login: ["Welcome.", () => app.logIn(Credentials.emailPassword(email, password)).then(() => undefined)],
    // A guest keeps the user id, and so everything that belongs to it.
    upgrade: ["Your account is ready.", async () => {
      await app.emailPasswordAuth.registerUser({ email, password });
      await app.currentUser.linkCredentials(Credentials.emailPassword(email, password));
    }],
  };
  step(...deeds[event.submitter.value]);
});

refresh();
