//! People who exist in the demo alone.

/// Somebody with an account at every provider that the demo plays.
#[derive(Debug)]
pub(super) struct Person {
    /// The account's name there, the same at all of them.
    pub(super) id: &'static str,
    /// What they are called.
    pub(super) name: &'static str,
    /// An address that the provider has verified.
    pub(super) email: &'static str,
    /// The company's groups they are in.
    pub(super) groups: &'static [&'static str],
}

/// All of them. The company's `newsroom` are the journalists of the blog.
pub(super) const PEOPLE: [Person; 3] = [
    Person { id: "ann-1", name: "Ann Example", email: "ann@example.com", groups: &["newsroom"] },
    Person { id: "max-2", name: "Max Example", email: "max@example.com", groups: &["accounts"] },
    Person { id: "kim-3", name: "Kim Beispiel", email: "kim@example.net", groups: &["newsroom", "archive"] },
];
