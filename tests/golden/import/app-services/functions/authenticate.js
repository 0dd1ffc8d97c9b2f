exports = async function ({ user }) { return { id: user, name: user }; };
