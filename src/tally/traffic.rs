use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Durations, Spread, Tallies};

/// What became of requests, by route.
#[derive(Debug)]
pub struct Traffic {
    routes: Vec<String>,
    answers: Tallies,
    own: Durations,
    refusals: Mutex<Vec<(&'static str, u64)>>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 1xx: an upgrade.
    Upgraded,
    /// 2xx.
    Answered,
    /// 3xx.
    Redirected,
    /// 4xx of the app behind or of our own pages.
    ClientFault,
    /// 5xx of the app behind or of our own pages.
    ServerFault,
    /// It went no further than us.
    Refused,
}

/// One figure of [`Traffic`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted<'a> {
    /// The key of the route in the configuration; `own` for our own pages, `none` where no route is.
    pub route: &'a str,
    /// What became of them.
    pub outcome: Outcome,
    /// How many.
    pub count: u64,
}

impl Traffic {
    /// Counts for the routes with these keys, which requests name by their place.
    pub fn new(routes: impl IntoIterator<Item = String>) -> Self {
        let routes: Vec<String> = routes.into_iter().chain(["own".to_owned(), "none".to_owned()]).collect();
        let answers = Tallies::new(routes.len() * Outcome::ALL.len());
        Self { routes, answers, own: Durations::new(), refusals: Mutex::default() }
    }

    /// Whether it counts for exactly these routes.
    pub fn is_for<'a>(&self, routes: impl ExactSizeIterator<Item = &'a str>) -> bool {
        self.routes.len() == routes.len() + 2 && routes.zip(&self.routes).all(|(one, other)| one == other)
    }

    /// The number of our own pages.
    pub fn own(&self) -> usize {
        self.routes.len() - 2
    }

    /// The number where no route is.
    pub fn none(&self) -> usize {
        self.routes.len() - 1
    }

    /// Counts a request, and how long it was with us and not with the app behind.
    pub fn note(&self, route: usize, outcome: Outcome, own: Duration) {
        self.answers.add(route * Outcome::ALL.len() + outcome as usize, 1);
        self.own.note(own);
    }

    /// Counts a refusal by the code of its reason.
    pub fn refuse(&self, code: &'static str) {
        // The names are few, and a refusal costs an answer: what counts is that nothing of a request is a name.
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        match refusals.iter_mut().find(|(name, _)| *name == code) {
            Some((_, count)) => *count += 1,
            None => refusals.push((code, 1)),
        }
    }

    /// All requests, but for those of which there was none.
    pub fn counted(&self) -> impl Iterator<Item = Counted<'_>> {
        let all = self.routes.iter().enumerate().flat_map(move |(route, key)| {
            Outcome::ALL.iter().map(move |outcome| {
                let count = self.answers.count(route * Outcome::ALL.len() + *outcome as usize);
                Counted { route: key, outcome: *outcome, count }
            })
        });
        all.filter(|counted| counted.count > 0)
    }

    /// Refusals by code.
    pub fn refusals(&self) -> Vec<(&'static str, u64)> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long requests were with us.
    pub fn own_time(&self) -> Spread {
        self.own.spread()
    }
}

impl Outcome {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Upgraded, Self::Answered, Self::Redirected, Self::ClientFault, Self::ServerFault, Self::Refused];

    /// By the status of an answer.
    pub fn of(status: http::StatusCode) -> Self {
        match status.as_u16() / 100 {
            1 => Self::Upgraded,
            2 => Self::Answered,
            3 => Self::Redirected,
            4 => Self::ClientFault,
            _ => Self::ServerFault,
        }
    }

    /// The word in figures.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upgraded => "1xx",
            Self::Answered => "2xx",
            Self::Redirected => "3xx",
            Self::ClientFault => "4xx",
            Self::ServerFault => "5xx",
            Self::Refused => "refused",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_outcome() {
        let traffic = Traffic::new(["/**".to_owned(), "/api/**".to_owned()]);
        assert!(traffic.is_for(["/**", "/api/**"].into_iter()));
        assert!(!traffic.is_for(["/**"].into_iter()) && !traffic.is_for(["/**", "/x/**"].into_iter()));
        traffic.note(1, Outcome::Answered, Duration::ZERO);
        traffic.note(traffic.own(), Outcome::Redirected, Duration::ZERO);
        traffic.note(traffic.none(), Outcome::Refused, Duration::from_millis(1));
        traffic.refuse("authn.needed");
        traffic.refuse("authn.needed");
        let counted: Vec<_> = traffic.counted().map(|c| (c.route, c.outcome.as_str(), c.count)).collect();
        assert_eq!(counted, [("/api/**", "2xx", 1), ("own", "3xx", 1), ("none", "refused", 1)]);
        assert_eq!(traffic.refusals(), [("authn.needed", 2)]);
        assert_eq!(traffic.own_time().count, 3);
    }
}
