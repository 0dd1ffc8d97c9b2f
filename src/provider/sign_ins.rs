use http::StatusCode;

use crate::tally::Tallies;

/// How sign-ins end, in figures: by provider, never by anything of a request.
#[derive(Debug)]
pub struct SignIns {
    providers: Vec<String>,
    counts: Tallies,
}

/// How a sign-in ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// Somebody is in.
    Accepted,
    /// The credential was not good.
    Refused,
    /// Nobody could tell.
    Failed,
}

impl SignIns {
    /// Counts for providers of these names.
    pub fn new(providers: impl IntoIterator<Item = String>) -> Self {
        let providers: Vec<String> = providers.into_iter().collect();
        let counts = Tallies::new(providers.len() * SignIn::ALL.len());
        Self { providers, counts }
    }

    /// The same, from naught, with further providers.
    pub(super) fn counting<'a>(&self, more: impl Iterator<Item = &'a String>) -> Self {
        let more = more.filter(|name| !self.providers.contains(name)).cloned();
        Self::new(self.providers.iter().cloned().chain(more))
    }

    /// Counts one; a provider that is not on counts nothing.
    pub fn note(&self, provider: &str, sign_in: SignIn) {
        if let Some(number) = self.providers.iter().position(|name| name == provider) {
            self.counts.add(number * SignIn::ALL.len() + sign_in as usize, 1);
        }
    }

    /// Counts how one ended by the answer it got, if that was a refusal. One that was never tried is none.
    pub fn note_end(&self, provider: &str, refused: Option<StatusCode>) {
        match refused {
            None => self.note(provider, SignIn::Accepted),
            Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => self.note(provider, SignIn::Refused),
            Some(status) if status.is_server_error() => self.note(provider, SignIn::Failed),
            Some(_) => {}
        }
    }

    /// All of them, by provider.
    pub fn counted(&self) -> impl Iterator<Item = (&str, SignIn, u64)> {
        self.providers.iter().enumerate().flat_map(|(number, name)| {
            SignIn::ALL.map(|end| (name.as_str(), end, self.counts.count(number * SignIn::ALL.len() + end as usize)))
        })
    }
}

impl SignIn {
    const ALL: [Self; 3] = [Self::Accepted, Self::Refused, Self::Failed];

    /// The word in figures.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_providers_that_are_on_are_counted() {
        let sign_ins = SignIns::new(["api-key".to_owned(), "corp".to_owned()]);
        sign_ins.note("corp", SignIn::Refused);
        sign_ins.note("<script>", SignIn::Refused);
        let counted: Vec<_> = sign_ins.counted().filter(|(_, _, count)| *count > 0).collect();
        assert_eq!(counted, [("corp", SignIn::Refused, 1)]);
    }

    #[test]
    fn what_was_never_tried_is_not_counted() {
        let sign_ins = SignIns::new(["corp".to_owned()]);
        for refused in [None, Some(401), Some(403), Some(429), Some(400), Some(502), Some(503)] {
            sign_ins.note_end("corp", refused.map(|status| StatusCode::from_u16(status).unwrap()));
        }
        let counted: Vec<_> = sign_ins.counted().map(|(_, end, count)| (end, count)).collect();
        assert_eq!(counted, [(SignIn::Accepted, 1), (SignIn::Refused, 2), (SignIn::Failed, 2)]);
    }
}
