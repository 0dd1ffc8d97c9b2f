//! Words for requests that cannot be read: each part of a request that may be at fault has its own.

/// Title and way out, by the code of [`Reason::Malformed`](crate::rejection::Reason::Malformed); a code that is not
/// named here speaks of the address.
pub(crate) fn words(code: &str) -> (&'static str, &'static str) {
    match code {
        "oauth.state" => (
            "This sign-in is no longer open",
            "It was finished already, took longer than ten minutes, or began in another browser. Start again.",
        ),
        "oauth.callback" => {
            ("This sign-in cannot be finished", "What the sign-in service sent does not fit. Start again.")
        }
        "oauth.logout_token" => ("This sign-out cannot be read", "Send a logout token that the provider has signed."),
        "json.syntax" => ("This is not JSON", "Check the JSON in the body: quotes, commas and brackets."),
        "json.too_complex" => ("This JSON has too many parts", "Send JSON with fewer levels and fewer parts."),
        "form.encoding" => ("This form cannot be read", "Send its fields percent-encoded, in UTF-8."),
        "form.field_twice" => ("This form cannot be read", "Send each of its fields once."),
        "form.too_many_fields" => ("This form cannot be read", "Send only the fields that are asked for."),
        "body.broken" => ("The request did not arrive whole", "Send it again."),
        "websocket.handshake" => {
            ("This is no WebSocket handshake", "Send the method and the header fields of RFC 6455, section 4.1.")
        }
        "credential.in_address" => {
            ("There is an API key in the address", "Take it out of the address and send it in a header field.")
        }
        "connection.protected" => {
            ("The Connection header cannot be taken", "It names a header that must reach the app. Leave that name out.")
        }
        "target.scheme" => {
            ("This kind of address is not served", "Use an address that begins with http:// or https://.")
        }
        "host.missing" => ("The request names no site", "Send its name in the Host header, once."),
        "ext_authz.form" => ("This question cannot be read", "Send a CheckRequest of envoy.service.auth.v3."),
        "forward_auth.no_request" => (
            "This question names no request",
            "Let the proxy send X-Forwarded-Uri and X-Forwarded-Method, or X-Original-URL and X-Original-Method.",
        ),
        "forward_auth.form" => (
            "This question cannot be read",
            "Let the proxy send the address as it came, whole or from its path on; Authelia's path_prefix ends in a slash.",
        ),
        "forward_auth.contradiction" | "forward_auth.duplicate" => (
            "This question names two requests",
            "Let the proxy remove or overwrite what clients send as X-Forwarded-… and X-Original-….",
        ),
        "forward_auth.allowed" => (
            "This question lets nobody in",
            "Name somebody in each of allowed_groups, allowed_emails and allowed_email_domains, or leave it out.",
        ),
        "forward_auth.narrowed" => (
            "You may not come in here",
            "The proxy lets only some in: allowed_groups, allowed_emails or allowed_email_domains of its question.",
        ),
        "forward_auth.forged" => (
            "This request says who it is in a header of its own",
            "Leave out X-Auth-Meta-… and the names of identity_headers.set, or let the proxy remove them before it asks.",
        ),
        "forward_auth.own_page" => {
            ("This page is answered without a question", "Let the proxy pass this path on without asking.")
        }
        _ => ("This address cannot be read", "Check the address for odd characters."),
    }
}

#[cfg(test)]
mod tests {
    use super::words;
    use crate::language::{Language, translated};

    const OTHERS: [&str; 23] = [
        "oauth.state",
        "oauth.callback",
        "oauth.logout_token",
        "json.syntax",
        "json.too_complex",
        "form.encoding",
        "form.field_twice",
        "form.too_many_fields",
        "body.broken",
        "websocket.handshake",
        "credential.in_address",
        "connection.protected",
        "target.scheme",
        "host.missing",
        "ext_authz.form",
        "forward_auth.no_request",
        "forward_auth.form",
        "forward_auth.contradiction",
        "forward_auth.duplicate",
        "forward_auth.allowed",
        "forward_auth.narrowed",
        "forward_auth.forged",
        "forward_auth.own_page",
    ];

    #[test]
    fn only_a_path_is_told_to_be_an_address_of_odd_characters() {
        let of_address = words("path.dot_segment");
        assert_eq!(of_address.0, "This address cannot be read");
        for code in OTHERS {
            assert_ne!(words(code), of_address, "{code}");
        }
    }

    #[test]
    fn every_part_at_fault_has_its_words_in_every_language() {
        for code in OTHERS {
            let (title, detail) = words(code);
            for text in [title, detail] {
                assert_ne!(translated(Language::German, text), text, "{code}");
            }
        }
    }
}
