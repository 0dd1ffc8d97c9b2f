use std::fmt;

/// What kind of problem it is. The number never changes its meaning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(&'static Row);

#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Row {
    id: &'static str,
    explanation: &'static str,
}

macro_rules! codes {
    ($($name:ident $id:literal $explanation:literal)*) => {
        #[allow(non_upper_case_globals, reason = "each reads like the variant it is")]
        impl Code {
            $(
                #[doc = $explanation]
                pub const $name: Self = Self(&Row { id: $id, explanation: $explanation });
            )*

            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

codes! {
    NoFile "VB0001" "The configuration file is not there or cannot be read, or it is not UTF-8. Without `--config` and `VESTIBULE_CONFIG` it is `vestibule.toml` in the current folder."
    Syntax "VB0100" "The file breaks a rule of TOML, so what it means cannot be known: most often a missing quote, a missing comma, or the same key twice."
    UnknownKey "VB0101" "No key of this name exists at this place. Nothing is ignored silently: a misspelt key would leave its default in force. In TOML every key below a `[header]` belongs to that header, so top-level keys stand above the first one."
    WrongKind "VB0102" "The key exists but takes another kind of value: text in quotes, a whole number, true or false, a list in brackets, or a table."
    Missing "VB0103" "A key that has no default is not there."
    Unit "VB0104" "Spans of time, sizes and rates carry their unit, so that nobody has to guess: \"30s\", \"15m\", \"12h\", \"30d\"; \"512B\", \"32KiB\", \"1MiB\"; \"10/15m\" (ten in fifteen minutes)."
    Word "VB0105" "The key takes one of a few words, and this is none of them."
    Range "VB0106" "The value has the right form but lies outside of what is sensible or safe."
    Form "VB0107" "The text does not have the form this key needs: an address, a network, a host name, a header name, a colour or a path."
    Conflict "VB0108" "Two keys contradict each other, or one needs another that is not there."
    Variable "VB0110" "An environment variable begins with VESTIBULE_ but names no key. The name is VESTIBULE_ and the path in capitals, with two underscores between levels: VESTIBULE_SESSION__IDLE_TIMEOUT. Names that Kubernetes sets for a service called vestibule are ignored."
    VariableKind "VB0111" "Environment variables override single values. Lists, tables, routes and policies come from the file."
    TrustsAll "VB0112" "The networks of trusted proxies cover every address there is, so that any client could say who it is and where it comes from. Name the networks of your proxies."
    Loose "VB0113" "The pattern would let in origins of strangers. A wildcard stands for one whole label at the left, below a domain that one owner registered: https://*.example.com."
    Insecure "VB0114" "Session cookies, or what proves us to a provider, would travel in the clear. Plain http is only for this machine, and for requests of our own to the hosts of `outgoing.allow_http`."
    Script "VB0115" "A file with a function in JavaScript is not there, breaks a rule of the language, or exports no function. It is read whole at the start, and nothing of it runs before somebody signs in."
    Loop "VB0116" "An upstream is an address that Vestibule itself listens on. Every request would come back as another one, until there are no connections left. An upstream is where the app listens."
    SecretLiteral "VB0201" "A secret stands in the file itself, where backups, commits and error reports find it. Name its source: { env = \"NAME\" }, { file = \"path\" } or { credential = \"name\" } (systemd)."
    SecretMissing "VB0202" "The source of a secret is not there or is empty."
    SecretExposed "VB0203" "Every account of this machine can read the file that holds a secret. Take the right to read from others: chmod o-r."
    SecretWeak "VB0204" "The secret can be guessed: it is short, one of the samples everybody tries first, or a single character repeated."
    SecretForm "VB0205" "A secret is a table with exactly one of env, file and credential, or a list of such tables of which the first is used and all are accepted."
    Who "VB0301" "A rule names somebody in a way that is not known. Who is one of: anyone, guest, signed_in, service, nobody, role:R, provider:P, email:ADDRESS, email:*@DOMAIN, data:FIELD=VALUE, policy:N."
    UndeclaredRole "VB0302" "Roles are declared once in `roles`, so that a typo in a rule is an error and not a rule that nobody fulfils."
    UnknownPolicy "VB0303" "A rule names a policy that `[policies]` does not have."
    AbsentProvider "VB0304" "A rule names a provider that is not switched on in `[providers]`, so nobody could fulfil it."
    NobodyNamed "VB0305" "A list of who is empty. Write \"nobody\" if that is meant."
    AnyoneAndOthers "VB0306" "\"anyone\" makes the rest of its list pointless. Either the rest or \"anyone\" was not meant."
    NoAction "VB0307" "A route without any action lets nobody do anything, which is hardly ever meant. Write all = \"nobody\" if it is."
    RouteKey "VB0308" "The key of a route is a path pattern, or a host and a path pattern: literal segments, `*` for one whole segment, and `**` at the end for everything below. No regular expressions, no escapes, no dot segments."
    RouteTwice "VB0309" "Two keys of `[routes]` mean the same paths, so one of them could never decide."
    Relax "VB0310" "`allow_in_path` takes back one named check of the path; the names are the characters themselves."
    PolicyCircle "VB0311" "A policy refers to itself, directly or through others, so it could never be decided."
    RouteShadowed "VB0312" "No request can reach this route: its paths are Vestibule's own, or its host is not among `hosts`."
    OpenToAll "VB0390" "Every route lets anyone do everything, so nothing is protected. It starts, and says so at every start."
    NoUpstream "VB0391" "There is no upstream for some routes: requests are decided for other proxies, but these cannot be forwarded."
    NoPublicUrl "VB0392" "Vestibule listens beyond this machine but does not know the address visitors type. Until `public_url` is set it builds links and cookies for localhost."
    NeverFulfilled "VB0393" "Something this rule asks for cannot happen with the providers that are switched on."
    AnyAudience "VB0396" "Tokens are taken whoever they were made for. An issuer with several apps makes tokens for each of them, and any of these apps could use a token of its users here. Name your own app in `audience`."
    Disbelief "VB0397" "A Unix socket is listened on, where nobody comes but a proxy of this machine, and that proxy is not among the trusted ones: all visitors would seem to come from 127.0.0.1, and `/.auth/check` answers nobody."
    NoRootRoute "VB0394" "`[routes]` is there, but none of them covers `/`, so the front page is refused."
    RoutesCross "VB0395" "Two routes cover some of the same paths and neither contains the other. The one that is more exact further to the left decides."
}

impl Code {
    /// `VB0101`.
    pub fn id(self) -> &'static str {
        self.0.id
    }

    /// A paragraph for `vestibule check --explain`.
    pub fn explanation(self) -> &'static str {
        self.0.explanation
    }

    /// The code with this number, in capitals or not.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.id().eq_ignore_ascii_case(text))
    }

    /// Whether it is only worth a look and hinders nothing.
    pub fn is_note(self) -> bool {
        self.id() >= "VB0390" && self.id() < "VB0400"
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_number_is_given_once() {
        let ids: BTreeSet<_> = Code::ALL.iter().map(|code| code.id()).collect();
        assert_eq!(ids.len(), Code::ALL.len());
    }

    #[test]
    fn a_code_is_found_by_its_number() {
        assert_eq!(Code::parse("vb0101"), Some(Code::UnknownKey));
        assert_eq!(Code::parse("VB9999"), None);
    }
}
