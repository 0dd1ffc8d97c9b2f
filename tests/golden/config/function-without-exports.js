async function confirm() {
  return { status: "success" };
}
