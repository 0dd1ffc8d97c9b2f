// Signs in members of a club by their number and the four digits on their card. Vestibule hands over what was
// posted to /.auth/login/custom-function, and takes what comes back as the account: an id, or { id, name }.
//
//   [providers.custom-function]
//   javascript = "functions/auth.js"
//   values = { cards = { file = "cards.json" } }
exports = async function (payload) {
  const { member, card } = payload;
  const cards = JSON.parse(context.values.get("cards"));
  const found = Object.hasOwn(cards, member) ? cards[member] : undefined;

  if (!found || found.card !== card) {
    console.warn("refused", member, "from", context.request.remoteIPAddress);
    throw new Error("no such member, or another card");
  }
  return { id: `member-${member}`, name: found.name };
};
