//! Addresses as a grant names them: `scheme://host:port/path`. One that could never cover anything is told about here.

use std::net::{IpAddr, Ipv6Addr};

/// What one is to look like.
const FORM: &str = "write `http://host:port/path`";

/// A pattern or an address, taken apart.
struct Parts<'t> {
    scheme: &'t str,
    host: &'t str,
    port: Option<&'t str>,
    /// With its `/`; empty if there is none.
    path: &'t str,
}

fn parts(text: &str) -> Option<Parts<'_>> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // The last `:` is that of the port, unless it stands inside the brackets of an IPv6 address.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    Some(Parts { scheme, host, port, path })
}

/// Whether `text` is `scheme://host`, with a port and a path if you like; the error is one sentence.
pub fn check_address(text: &str) -> Result<(), String> {
    let shown = text.escape_debug();
    let Some(Parts { scheme, host, port, path }) = parts(text) else {
        return Err(format!("`{shown}` is not an address; {FORM}"));
    };
    if !["http", "https", "tcp"].contains(&scheme) {
        return Err(format!("`{shown}` begins with neither `http://`, `https://` nor `tcp://`"));
    }
    if host.is_empty() {
        return Err(format!("`{shown}` names no host; `*` stands for the containers of the run"));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) || has_credentials(text) {
        return Err(format!("`{shown}` is not an address; {FORM}"));
    }
    check_host(host).map_err(|why| format!("`{shown}`: {why}"))?;
    check_port(scheme, port).map_err(|why| format!("`{shown}`: {why}"))?;
    check_path(scheme, path).map_err(|why| format!("`{shown}`: {why}"))
}

/// `user:secret@` before the host.
fn has_credentials(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

fn check_host(host: &str) -> Result<(), String> {
    if host == "*" {
        return Ok(());
    }
    if host.contains('*') {
        return Err("a host is `*` or a whole name, so this would cover nothing".to_owned());
    }
    let bracketed = host.strip_prefix('[').map(|rest| rest.strip_suffix(']'));
    let legal = match bracketed {
        Some(inner) => inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok()),
        None => {
            host.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) && !host.starts_with('.')
        }
    };
    if legal {
        return Ok(());
    }
    Err(match bracketed {
        Some(_) => "an IPv6 address is written `[::1]`".to_owned(),
        None if !host.is_ascii() => "write the host in ASCII, `xn--…`".to_owned(),
        None if host.contains(':') => "a host has one port; an IPv6 address is written `[::1]`".to_owned(),
        None => format!("`{}` is not a host", host.escape_debug()),
    })
}

fn check_port(scheme: &str, port: Option<&str>) -> Result<(), String> {
    match port {
        None if scheme == "tcp" => Err("`tcp` has no port of its own; write one, or `:*` for any".to_owned()),
        None | Some("*") => Ok(()),
        Some(port) => {
            // A sign would be parsed as well.
            let number = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse::<u16>().ok()).flatten();
            match number {
                Some(1..) => Ok(()),
                _ => {
                    Err(format!("the port is a number from 1 to 65535 or `*`, not `{}`", port.escape_debug()))
                }
            }
        }
    }
}

fn check_path(scheme: &str, path: &str) -> Result<(), String> {
    if path.contains(['?', '#']) {
        return Err("a grant ends with the path; the query of a request is not looked at".to_owned());
    }
    if scheme == "tcp" && !path.is_empty() {
        return Err("`tcp` has no path; end it after the port".to_owned());
    }
    if path.strip_suffix('*').unwrap_or(path).contains('*') {
        return Err("`*` stands only at the end of a path".to_owned());
    }
    if path.split('/').any(|part| part == "..") || !path.is_ascii() {
        return Err(
            "a request's path has no `..` and is percent-encoded, so this would cover nothing".to_owned()
        );
    }
    Ok(())
}

/// Whether a request to `url` might be covered by `pattern`; false only where it surely is not.
pub fn may_cover(pattern: &str, url: &str) -> bool {
    let (Some(pattern), Some(url)) = (parts(pattern), parts(url)) else { return true };
    // Numbers are addresses in many spellings; what they mean is not decided here.
    let plain = |host: &str| {
        host.parse::<IpAddr>().is_err()
            && host.contains(|c: char| c.is_ascii_alphabetic())
            && !host.starts_with("0x")
            && host.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let same_host = pattern.host == "*"
        || !plain(pattern.host)
        || !plain(url.host)
        || pattern.host.trim_end_matches('.').eq_ignore_ascii_case(url.host.trim_end_matches('.'));
    let usual = if url.scheme.eq_ignore_ascii_case("https") { "443" } else { "80" };
    let same_port = pattern.port == Some("*")
        || pattern.port.unwrap_or(usual) == url.port.filter(|p| !p.is_empty()).unwrap_or(usual);
    let asked = url.path.split(['?', '#']).next().unwrap_or_default();
    let asked = if asked.is_empty() { "/" } else { asked };
    let granted = if pattern.path.is_empty() { "/" } else { pattern.path };
    let same_path = match granted.strip_suffix('*') {
        // The path that is asked for is brought into another form first.
        _ if asked.contains(['.', '%', '\\']) || !asked.is_ascii() => true,
        Some(start) => asked.starts_with(start),
        None => asked == granted,
    };
    pattern.scheme.eq_ignore_ascii_case(url.scheme) && same_host && same_port && same_path
}

#[cfg(test)]
mod tests {
    use super::{check_address, may_cover};

    #[test]
    fn an_address_that_could_cover_something_is_good() {
        for text in [
            "http://*:8080/healthz",
            "http://*",
            "https://example.com/a/*",
            "http://10.0.0.7:*/",
            "tcp://*:5432",
            "tcp://db_1.internal:*",
            "http://[::1]:8080/",
            "http://web:65535/*",
        ] {
            assert_eq!(check_address(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn an_address_that_covers_nothing_is_refused_with_the_reason() {
        for (text, reason) in [
            ("web:80", "is not an address"),
            ("ftp://x/", "begins with neither"),
            ("http://:80/", "names no host"),
            ("http:///x", "names no host"),
            ("http://a b/", "is not an address"),
            ("http://user:secret@host/", "is not an address"),
            ("http://x:99999", "from 1 to 65535"),
            ("http://x:0", "from 1 to 65535"),
            ("http://x:-1", "from 1 to 65535"),
            ("http://x:+1", "from 1 to 65535"),
            ("http://x:80*", "from 1 to 65535"),
            ("http://x:/", "from 1 to 65535"),
            ("http://x:80:80", "a host has one port"),
            ("http://::1", "a host has one port"),
            ("http://[::1", "an IPv6 address is written"),
            ("http://[::g]/", "an IPv6 address is written"),
            ("http://*.example.com/", "a whole name"),
            ("http://bücher.example/", "xn--"),
            ("http://a%20b/", "is not a host"),
            ("tcp://db", "no port of its own"),
            ("tcp://db:5432/path", "no path"),
            ("http://x/?q", "the query"),
            ("http://x?q", "the query"),
            ("http://x/#f", "the query"),
            ("http://x/*/y", "at the end"),
            ("http://x/a/../b", "no `..`"),
        ] {
            let told = check_address(text).unwrap_err();
            assert!(told.contains(reason), "{text}: {told}");
        }
    }

    #[test]
    fn only_what_is_surely_not_covered_is_told_apart() {
        let url = "https://api.example.com/v1/items?all";
        for pattern in ["https://API.example.com/v1/*", "https://*/*", "https://api.example.com:443/v1/items"]
        {
            assert!(may_cover(pattern, url), "{pattern}");
        }
        for pattern in [
            "https://other.example.com/*",
            "http://api.example.com/*",
            "https://api.example.com:8443/*",
            "https://api.example.com/v2/*",
            "https://api.example.com",
        ] {
            assert!(!may_cover(pattern, url), "{pattern}");
        }
        assert!(may_cover("http://127.0.0.1/", "http://2130706433/"));
        assert!(may_cover("http://a/x", "http://a/y/%2e%2e/x"));
    }
}
