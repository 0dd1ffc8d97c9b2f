use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::client_proof::ClientProof;
use super::oauth2::Client;
use super::{MetadataField, Named, Parts, Setup};
use crate::fetch::Fetch;
use crate::secret::Secret;
use crate::token::{self, Algorithm};

/// A provider that people are sent to and come back from: `[providers.corp]` and its kin.
#[derive(Clone, Debug, PartialEq)]
pub struct OAuth {
    /// Whose it is.
    pub kind: OAuthKind,
    /// `label`: what its button says. Default: the brand's own words.
    pub label: Option<String>,
    /// `client_id` (`services_id` for Apple): who we are there.
    pub client_id: String,
    /// `native_client_ids` (`bundle_ids` for Apple): apps of the same owner whose id_tokens count, too.
    pub native_client_ids: Vec<String>,
    /// How we prove to be that client.
    pub proof: Proof,
    /// `scopes`. Default: what the metadata needs.
    pub scopes: Option<Vec<String>>,
    /// `parameters`: further ones on the way there, none of which [the flow sets itself](OAuth::may_ask).
    pub parameters: BTreeMap<String, String>,
    /// Where everything is, as far as it is not what the brand says or the issuer's document says.
    pub endpoints: Overrides,
    /// `tenant`: `common`, `organizations`, `consumers`, or one tenant. Default `common`. Microsoft alone.
    pub tenant: String,
    /// `allow_tenants`: ids of the tenants whose accounts may come in; empty means all. Microsoft alone.
    pub allow_tenants: Vec<String>,
    /// `allow_domains`: in lower case; empty means all.
    pub allow_domains: Vec<String>,
    /// `metadata`: what is kept of the provider's answer. Default: e-mail and name.
    pub metadata: Vec<MetadataField>,
    /// `roles_from`: where in its answer groups or roles are.
    pub roles_from: Option<String>,
    /// `role_map`: their word, our role; without it their words count where they are declared roles.
    pub role_map: BTreeMap<String, String>,
    /// `roles` of the whole configuration: no other comes in.
    pub roles: BTreeSet<String>,
    /// `response_mode`: how the answer comes back. Default `query`; always `form_post` for Apple.
    pub response_mode: ResponseMode,
    /// `algorithms`: how id_tokens may be signed; never symmetric.
    pub algorithms: Vec<Algorithm>,
}

/// Whose provider it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OAuthKind {
    /// Any OpenID provider, by discovery.
    Oidc,
    /// Google.
    Google,
    /// Facebook.
    Facebook,
    /// Apple.
    Apple,
    /// GitHub.
    Github,
    /// Microsoft Entra ID and personal accounts.
    Microsoft,
}

/// How we prove to a token endpoint who we are.
#[derive(Clone, Debug, PartialEq)]
pub enum Proof {
    /// Not at all: a public client, by PKCE alone.
    None,
    /// `client_secret`.
    Secret(Secret),
    /// `private_key` and `key_id`: a signed assertion (RFC 7523 §2.2).
    Key {
        /// PEM: RSA, P-256, P-384 or Ed25519.
        private_key: Secret,
        /// Its name in the header, as the provider knows it.
        key_id: Option<String>,
        /// `assertion_audience`.
        audience: AssertionAudience,
    },
    /// `team_id`, `key_id` and `private_key`: Apple's secret is a token we sign.
    Apple {
        /// Who owns the key.
        team_id: String,
        /// Its name.
        key_id: String,
        /// PEM, P-256: the `.p8` file.
        private_key: Secret,
    },
}

/// For whom an assertion is that proves us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AssertionAudience {
    /// The issuer, by its own name: of no use anywhere else, whatever a document says of endpoints.
    #[default]
    Issuer,
    /// The address it is sent to, which some providers want alone.
    TokenEndpoint,
}

/// Endpoints that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Overrides {
    /// `issuer`, exactly as the provider spells it.
    pub issuer: Option<String>,
    /// `authorization_endpoint`.
    pub authorization: Option<String>,
    /// `token_endpoint`.
    pub token: Option<String>,
    /// `userinfo_endpoint`.
    pub userinfo: Option<String>,
    /// `jwks_uri`.
    pub jwks: Option<String>,
    /// `end_session_endpoint`.
    pub end_session: Option<String>,
    /// `api_url` (GitHub) or `graph_url` (Facebook): where profiles are read.
    pub api: Option<String>,
}

/// How the provider's answer comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ResponseMode {
    /// In the query of a GET.
    #[default]
    Query,
    /// In the body of a POST that the provider's page sends (OAuth 2.0 Form Post Response Mode).
    FormPost,
}

impl OAuth {
    /// A client of this kind with everything else at its default.
    pub fn new(kind: OAuthKind, client_id: &str) -> Self {
        Self {
            kind,
            label: None,
            client_id: client_id.to_owned(),
            native_client_ids: Vec::new(),
            proof: Proof::None,
            scopes: None,
            parameters: BTreeMap::new(),
            endpoints: Overrides::default(),
            tenant: "common".to_owned(),
            allow_tenants: Vec::new(),
            allow_domains: Vec::new(),
            metadata: ["email", "name"].map(MetadataField::named).into(),
            roles_from: None,
            role_map: BTreeMap::new(),
            roles: BTreeSet::new(),
            response_mode: if kind == OAuthKind::Apple { ResponseMode::FormPost } else { ResponseMode::Query },
            algorithms: kind.algorithms().to_vec(),
        }
    }
}

impl OAuth {
    /// Whether `parameters` may have one of this name.
    pub fn may_ask(name: &str) -> bool {
        // A request object would say all of it again (RFC 9101).
        !super::oauth2::OURS.contains(&name) && !name.starts_with("request")
    }

    /// Whether we can prove who we are with them.
    ///
    /// # Errors
    /// What is wrong with the private key: lower case, no full stop.
    pub fn check(&self) -> Result<(), token::Setup> {
        ClientProof::new(self).map(drop)
    }

    /// The provider of these settings.
    pub(super) fn build(&self, name: &str, parts: &Parts) -> Result<Named, Setup> {
        // A build without it would show a button that never works.
        if !Fetch::IS_THERE {
            let absent = "this program was built without the feature `outgoing`, and so asks nobody";
            return Err(Setup(format!("providers.{name}: {absent}")));
        }
        let client = Client::new(name, self, parts.settings.foreign_to(name), parts)?;
        let label = self.label.clone().unwrap_or_else(|| self.kind.label(name));
        Ok(Named { name: name.to_owned(), kind: self.kind.word(), label, provider: Arc::new(client) })
    }
}

impl OAuthKind {
    /// The word of `type`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Google => "oauth2-google",
            Self::Facebook => "oauth2-facebook",
            Self::Apple => "oauth2-apple",
            Self::Github => "github",
            Self::Microsoft => "microsoft",
        }
    }

    /// What the button says, in the words the brands ask for.
    pub fn label(self, name: &str) -> String {
        match self {
            Self::Oidc => format!("Sign in with {name}"),
            Self::Google => "Sign in with Google".to_owned(),
            Self::Facebook => "Continue with Facebook".to_owned(),
            Self::Apple => "Sign in with Apple".to_owned(),
            Self::Github => "Sign in with GitHub".to_owned(),
            Self::Microsoft => "Sign in with Microsoft".to_owned(),
        }
    }

    /// How its id_tokens are signed, as far as it says.
    pub fn algorithms(self) -> &'static [Algorithm] {
        use Algorithm::{ES256, ES384, EdDSA, PS256, RS256};
        match self {
            Self::Oidc => &[RS256, PS256, ES256, ES384, EdDSA],
            _ => &[RS256],
        }
    }
}

impl Overrides {
    /// Whether the configuration names this address.
    pub(super) fn names(&self, address: &str) -> bool {
        let all = [&self.authorization, &self.token, &self.userinfo, &self.jwks, &self.end_session, &self.api];
        all.into_iter().flatten().any(|own| own == address)
    }
}
