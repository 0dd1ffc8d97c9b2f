exports = async function (user) { console.log(user.id); };
