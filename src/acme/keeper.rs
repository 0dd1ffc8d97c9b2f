use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::sleep;

use super::challenges::{Challenges, is_asked};
use super::folder::Folder;
use super::issued::Issued;
use super::order::{self, Failure};
use super::schedule::{pause, renewal, within};
use super::way::Way;
use super::{Error, Settings};
use crate::fetch::Fetch;
use crate::secret;

/// Has a certificate at hand for every handshake, and sees to it that there is one.
pub struct Keeper {
    settings: Settings,
    fetch: Fetch,
    folder: Folder,
    issued: ArcSwapOption<Issued>,
    challenges: Challenges,
}

/// What is known from one look to the next.
#[derive(Default)]
struct State {
    account: Option<Account>,
    failures: u32,
    /// When the authority wants the certificate in force renewed, and when to ask it again.
    told: Option<SystemTime>,
    ask_again: Option<SystemTime>,
    /// No other certificate before then, whatever the times of this one say: authorities count them.
    settled: Option<SystemTime>,
}

impl Keeper {
    /// Takes what was kept. Orders nothing yet.
    ///
    /// # Errors
    /// When the folder cannot be written, or no requests can be made.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        let fetch = Fetch::new(&settings.outgoing)?;
        let folder = Folder::open(&settings.folder, &settings.directory)?;
        let keeper =
            Self { settings, fetch, folder, issued: ArcSwapOption::empty(), challenges: Challenges::default() };
        let kept = keeper.folder.read(CERTIFICATE).map_err(|error| error.to_string());
        match kept.and_then(|kept| kept.map(|pem| Issued::read(&pem)).transpose()) {
            Ok(issued) => keeper.issued.store(issued.map(Arc::new)),
            Err(error) => {
                let file = keeper.folder.file(CERTIFICATE);
                tracing::error!(%error, file = %file.display(), "the certificate that was kept cannot be used");
            }
        }
        Ok(keeper)
    }

    /// When the certificate in force ends.
    pub fn ends(&self) -> Option<SystemTime> {
        self.issued.load().as_ref().map(|issued| issued.ends)
    }

    /// Orders and renews, for ever.
    pub async fn run(&self) -> Infallible {
        let mut state = State::default();
        loop {
            let pause = match self.look(&mut state).await {
                Ok(pause) => {
                    state.failures = 0;
                    pause
                }
                Err(failure) => {
                    state.failures += 1;
                    state.account = None;
                    self.forget_account(&failure);
                    let pause = pause(state.failures);
                    let (names, authority) = (self.settings.domains.join(", "), &self.settings.directory);
                    tracing::error!(
                        error = %failure, names, authority, again_in = ?pause,
                        "no certificate; the authority has to reach port 443 of each of these names, and that has to \
                         lead here"
                    );
                    pause
                }
            };
            sleep(pause).await;
        }
    }

    /// Orders a certificate if it is time to, and says how long nothing is to be done.
    async fn look(&self, state: &mut State) -> Result<Duration, Failure> {
        let now = SystemTime::now();
        let issued = self.issued.load_full().filter(|issued| self.is_wanted(issued));
        if let Some(issued) = &issued {
            self.ask_when(issued, now, state).await;
            let due = state.told.unwrap_or_else(|| renewal(issued)).min(renewal(issued));
            if now < due {
                return Ok(due.duration_since(now).unwrap_or_default().min(LOOK));
            }
        }
        if let Some(wait) = state.settled.and_then(|settled| settled.duration_since(now).ok()) {
            return Ok(wait.min(LOOK));
        }
        let account = self.account(state).await?;
        let replaces = issued.as_ref().filter(|_| state.told.is_some()).and_then(|issued| issued.id());
        let pem = order::certificate(&account, &self.settings.domains, replaces, &self.challenges).await?;
        let issued = Issued::read(&pem).map_err(Failure::Own)?;
        self.folder.write(CERTIFICATE, &pem).map_err(|error| Failure::Own(error.to_string()))?;
        let days = issued.ends.duration_since(now).unwrap_or_default().as_secs() / DAY;
        self.issued.store(Some(Arc::new(issued)));
        tracing::info!(names = self.settings.domains.join(", "), days, "a certificate was issued");
        *state = State { account: Some(account), settled: Some(now + SETTLED), ..State::default() };
        Ok(Duration::ZERO)
    }

    /// Whether it is for the names it should be.
    fn is_wanted(&self, issued: &Issued) -> bool {
        let wanted: BTreeSet<String> = self.settings.domains.iter().cloned().collect();
        issued.names == wanted
    }

    /// Asks the authority when to renew (RFC 9773), as often as it wants to be asked. That it does not say is no failure.
    async fn ask_when(&self, issued: &Issued, now: SystemTime, state: &mut State) {
        if state.ask_again.is_some_and(|time| now < time) {
            return;
        }
        state.ask_again = Some(now + ASK);
        let (Some(id), Ok(account)) = (issued.id(), self.account(state).await) else { return };
        match account.renewal_info(&id).await {
            Ok((info, after)) => {
                let window = info.suggested_window;
                let [share] = secret::random::<1>();
                let is_new = state.told.is_none_or(|told| told < window.start || told > window.end);
                if is_new {
                    state.told = Some(within(window.start.into(), window.end.into(), share));
                }
                state.ask_again = Some(now + after.clamp(LOOK, ASK * 4));
            }
            Err(error) => tracing::debug!(%error, "the authority does not say when to renew"),
        }
    }

    /// The account at the authority: the one that was kept, else a new one.
    async fn account(&self, state: &mut State) -> Result<Account, Failure> {
        if let Some(account) = &state.account {
            return Ok(account.clone());
        }
        let own = |error: &dyn fmt::Display| Failure::Own(error.to_string());
        let builder = Account::builder_with_http(Box::new(Way::new(&self.fetch)));
        let account = match self.folder.read(ACCOUNT).map_err(|error| own(&error))? {
            Some(kept) => {
                let credentials: AccountCredentials = serde_json::from_str(&kept).map_err(|error| own(&error))?;
                builder.from_credentials(credentials).await?
            }
            None => {
                let contact = self.settings.email.iter().map(|email| format!("mailto:{email}")).collect::<Vec<_>>();
                let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
                let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
                let external = self.external()?;
                let (account, credentials) =
                    builder.create(&new, self.settings.directory.clone(), external.as_ref()).await?;
                let text = serde_json::to_string(&credentials).map_err(|error| own(&error))?;
                self.folder.write(ACCOUNT, &text).map_err(|error| own(&error))?;
                account
            }
        };
        state.account = Some(account.clone());
        Ok(account)
    }

    /// An authority that does not know the account any more gets to know another the next time (RFC 8555 §6.7).
    fn forget_account(&self, failure: &Failure) {
        if let Failure::Authority(instant_acme::Error::Api(problem)) = failure
            && problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist")
        {
            self.folder.remove(ACCOUNT);
        }
    }

    fn external(&self) -> Result<Option<ExternalAccountKey>, Failure> {
        let Some(external) = &self.settings.external_account else { return Ok(None) };
        let key = BASE64_URL_SAFE_NO_PAD.decode(external.key.expose().trim_end_matches('='));
        let key = key.map_err(|_| Failure::Own("the key of `external_account` is not base64url".to_owned()))?;
        Ok(Some(ExternalAccountKey::new(external.id.clone(), &key)))
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Keeper {
    /// Without a certificate no handshake succeeds, but for that of the authority.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if is_asked(&hello) {
            return self.challenges.answer(&hello);
        }
        Some(Arc::clone(&self.issued.load().as_ref()?.key))
    }
}

const CERTIFICATE: &str = "certificate.pem";
const ACCOUNT: &str = "account.json";
/// How often the clock is looked at: it may be set meanwhile, or the machine asleep.
const LOOK: Duration = Duration::from_hours(1);
/// How often the authority is asked when to renew, unless it says (RFC 9773 §4.3).
const ASK: Duration = Duration::from_hours(6);
/// After a certificate was issued.
const SETTLED: Duration = Duration::from_hours(12);
const DAY: u64 = 86_400;
