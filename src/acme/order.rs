//! One certificate, from the order to the chain.

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};

use super::challenges::Challenges;

/// Why there is no certificate; for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The authority does not answer, or says no.
    #[error("{0}")]
    Authority(#[from] instant_acme::Error),
    /// It could not see that the names lead here.
    #[error("{0}")]
    Unproved(String),
    /// Ours.
    #[error("{0}")]
    Own(String),
}

/// Orders a certificate for these names and proves that they lead here: its chain and its key as PEM.
pub(super) async fn certificate(
    account: &Account,
    names: &[String],
    replaces: Option<CertificateIdentifier<'_>>,
    challenges: &Challenges,
) -> Result<String, Failure> {
    let identifiers: Vec<_> = names.iter().map(|name| Identifier::Dns(name.clone())).collect();
    let mut wanted = NewOrder::new(&identifiers);
    if let Some(replaces) = replaces {
        wanted = wanted.replaces(replaces);
    }
    let mut order = account.new_order(&wanted).await?;
    let mut proofs = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
            return Err(Failure::Unproved("the authority takes no proof over TLS (tls-alpn-01)".to_owned()));
        };
        let (domain, answer) = (challenge.identifier().to_string(), challenge.key_authorization());
        proofs.push(challenges.prove(&domain, answer.digest().as_ref()).map_err(Failure::Own)?);
        challenge.set_ready().await?;
    }
    if order.poll_ready(&PATIENCE).await? != OrderStatus::Ready {
        return Err(Failure::Unproved(complaints(&mut order).await));
    }
    drop(proofs);
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(format!("{}\n{key}", chain.trim_end()))
}

/// What the authority has to say to the proofs it did not take.
async fn complaints(order: &mut Order) -> String {
    let mut all = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_err() {
            continue;
        }
        let name = authorization.identifier().to_string();
        let said = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        all.extend(said.map(|problem| format!("{name}: {}", problem.detail.as_deref().unwrap_or("refused"))));
    }
    if all.is_empty() { "the authority refuses the order and does not say why".to_owned() } else { all.join("; ") }
}

const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(std::time::Duration::from_mins(2));
