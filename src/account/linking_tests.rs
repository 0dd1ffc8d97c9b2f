//! Every pair of facts against a model that was written from the rules in words, not from the code.

use std::time::Duration;

use super::linking::{Asker, Outcome, Owner, Policy, Presented, RECENT, decide, goes_to_holder};
use super::{Identity, Kind, PasswordCredential, User};
use crate::account::email::Email;
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::secret::Secret;

const KINDS: [Kind; 3] = [Kind::User, Kind::Guest, Kind::Service];
const PRESENTED: [Presented; 3] = [Presented::Guest, Presented::Password, Presented::Other];
const OWNERS: [Owner; 4] = [Owner::Nobody, Owner::Untouched, Owner::Asker, Owner::Another];
const POLICIES: [Policy; 3] = [Policy::Ask, Policy::VerifiedEmail, Policy::Never];

fn now() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

fn user(kind: Kind, password: Option<bool>) -> User {
    let mut user = User::new(UserId::generate(now()), kind, now());
    user.identities.push(Identity::new("corp", "", "1", now()));
    user.password = password.map(|verified| PasswordCredential {
        email: Email::parse("ann@example.com").unwrap(),
        hash: Secret::new("$argon2id$x"),
        verified,
        changed_at: now(),
    });
    user
}

/// The rules as the documentation has them: a table of what each refusal needs, the first that holds.
fn model(kind: Kind, recent: bool, password: bool, presented: Presented, owner: Owner, policy: Policy) -> Outcome {
    let rules: [(bool, Outcome); 6] = [
        (matches!(presented, Presented::Guest), Outcome::GuestCredential),
        (matches!(owner, Owner::Asker), Outcome::AlreadyYours),
        (matches!(policy, Policy::Never) || matches!(kind, Kind::Service), Outcome::PolicyForbids),
        (matches!(kind, Kind::User) && !recent, Outcome::SignInTooOld),
        (matches!(owner, Owner::Another), Outcome::OwnedByAnother),
        (password && matches!(presented, Presented::Password), Outcome::SecondEmailAccount),
    ];
    rules.iter().find(|(holds, _)| *holds).map_or(Outcome::Linked, |(_, outcome)| *outcome)
}

#[test]
fn every_combination_ends_as_the_rules_say() {
    let mut seen = std::collections::HashSet::new();
    for kind in KINDS {
        for age in [Duration::ZERO, RECENT, RECENT + Duration::from_millis(1)] {
            for password in [None, Some(false), Some(true)] {
                for presented in PRESENTED {
                    for owner in OWNERS {
                        for policy in POLICIES {
                            let user = user(kind, password);
                            let asker = Asker { user: &user, signed_in_at: now() - age };
                            let outcome = decide(asker, presented, owner, policy, now());
                            let expected = model(kind, age <= RECENT, password.is_some(), presented, owner, policy);
                            let facts = (kind, age, password, presented, owner, policy);
                            assert_eq!(outcome, expected, "{facts:?}");
                            // Whatever else holds: what is another's is never taken.
                            assert!(owner != Owner::Another || !outcome.is_yes(), "{facts:?}");
                            seen.insert(outcome);
                        }
                    }
                }
            }
        }
    }
    assert_eq!(seen.len(), 7);
}

#[test]
fn a_sign_in_goes_to_a_holder_only_when_every_fact_is_there() {
    let mut good = 0;
    for policy in POLICIES {
        for authoritative in [false, true] {
            for kind in KINDS {
                for password in [None, Some(false), Some(true)] {
                    for disabled in [false, true] {
                        let holder = User { disabled, ..user(kind, password) };
                        let goes = goes_to_holder(policy, authoritative, &holder);
                        let all = policy == Policy::VerifiedEmail
                            && authoritative
                            && kind == Kind::User
                            && password == Some(true)
                            && !disabled;
                        assert_eq!(goes, all, "{policy:?} {authoritative} {kind:?} {password:?} {disabled}");
                        good += usize::from(goes);
                    }
                }
            }
        }
    }
    assert_eq!(good, 1);
}
