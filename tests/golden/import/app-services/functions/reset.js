exports = ({ username }) => ({ status: username ? "pending" : "fail" });
