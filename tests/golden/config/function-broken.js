exports = async function (payload) {
  return payload.id +;
};
