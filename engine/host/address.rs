//! Network addresses a step asks for, and the patterns that grant them.
//!
//! A host written `*` stands for the containers the run may read and for nothing else, so that a wildcard never reaches
//! the cloud's metadata service, the daemon's own port or a neighbour. A literal host is compared after the URL parser
//! has brought it into its one canonical form: decimal, octal and IPv6-mapped spellings of an address are that address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use model::http_request::check_url;
use words::effect::{Failure, FailureKind};
use words::unfit::Unfit;

/// What a step wants to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// `http`, `https` or `tcp`.
    pub(super) scheme: String,
    /// Canonical: a lower-case name or an IP address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Empty for `tcp`.
    pub(super) path: String,
}

impl Address {
    /// Of an absolute `http` or `https` URL without credentials.
    pub(super) fn of_url(text: &str) -> Result<Self, Failure> {
        let invalid = |unfit: Unfit| Failure::new(FailureKind::Invalid, "http.url", unfit.message);
        check_url(text).map_err(invalid)?;
        let no_url = || invalid(Unfit { message: "the URL names no host or no port".to_owned(), hint: None });
        let url = Url::parse(text).map_err(|_| no_url())?;
        let host = url.host_str().ok_or_else(no_url)?;
        Ok(Self {
            scheme: url.scheme().to_owned(),
            host: canonical_host(host),
            port: url.port_or_known_default().ok_or_else(no_url)?,
            path: url.path().to_owned(),
        })
    }

    /// Of a bare host and port.
    pub(super) fn of_tcp(host: &str, port: u16) -> Result<Self, Failure> {
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let as_url = Self::of_url(&format!("http://{bracketed}:{port}/"))?;
        if as_url.path != "/" || port == 0 {
            return Err(Failure::new(
                FailureKind::Invalid,
                "tcp.address",
                format!("`{}:{port}` is not an address", host.escape_debug()),
            ));
        }
        Ok(Self { scheme: "tcp".to_owned(), path: String::new(), port, ..as_url })
    }

    /// The host as an IP address, if it is one.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "{}://[{}]:{}{}", self.scheme, self.host, self.port, self.path)
        } else {
            write!(f, "{}://{}:{}{}", self.scheme, self.host, self.port, self.path)
        }
    }
}

/// Lower case, no brackets, no trailing dot, and an IPv6 spelling of an IPv4 address as that address.
fn canonical_host(host: &str) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().to_string(),
        Err(_) => host,
    }
}

/// How a pattern covers an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    /// Not at all.
    None,
    /// The host is named.
    Named,
    /// The host is `*`: it must belong to a container the run may read.
    AnyContainer,
}

/// Whether `pattern` (`scheme://host[:port][/path]`) covers the address. The path may end in `*`; without a path only `/`
/// is covered; a port left out is the scheme's own; `*` as port is any port.
pub(super) fn covers(pattern: &str, address: &Address) -> Coverage {
    let Some((scheme, rest)) = pattern.split_once("://") else { return Coverage::None };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, if scheme == "tcp" { "" } else { "/" }),
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port_fits = match port {
        Some("*") => true,
        Some(port) => port.parse() == Ok(address.port),
        None => matches!((scheme, address.port), ("http", 80) | ("https", 443)),
    };
    let path_fits = match path.strip_suffix('*') {
        Some(start) => address.path.starts_with(start) && !climbs(&address.path),
        None => path == address.path,
    };
    if scheme != address.scheme || !port_fits || !path_fits {
        Coverage::None
    } else if host == "*" {
        Coverage::AnyContainer
    } else if canonical_host(host) == address.host {
        Coverage::Named
    } else {
        Coverage::None
    }
}

/// How often a path is decoded to see what it may come to mean behind a proxy or two.
const MAX_DECODINGS: usize = 3;

/// Whether a path leads upwards, as it is or once a server has decoded it.
fn climbs(path: &str) -> bool {
    let mut path = path.as_bytes().to_vec();
    for _ in 0..=MAX_DECODINGS {
        if path.windows(2).any(|pair| pair == b"..") {
            return true;
        }
        path = decoded(&path);
    }
    false
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let digit = |at: usize| path.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut plain = Vec::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        let coded = if path[at] == b'%' { digit(at + 1).zip(digit(at + 2)) } else { None };
        let byte = coded.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        plain.push(byte.unwrap_or(path[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    plain
}

/// Where clouds serve the credentials of a machine, beside the link-local address that most of them use.
const METADATA_V4: [Ipv4Addr; 2] = [
    // Alibaba Cloud.
    Ipv4Addr::new(100, 100, 100, 200),
    // Oracle Cloud, besides 169.254.169.254.
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [Ipv6Addr; 2] = [
    // Amazon EC2.
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    // Google Compute Engine, on machines without IPv4.
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// Addresses that are never reached, whatever is granted: link-local ones (the metadata services of clouds live there),
/// other known metadata services, unspecified and multicast ones, and IPv6 spellings that lead to any of these.
pub(super) fn forbidden(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => {
            v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                || METADATA_V6.contains(&v6)
                || embedded(v6).is_some_and(forbidden_v4)
        }
    }
}

fn forbidden_v4(v4: Ipv4Addr) -> bool {
    v4.is_link_local()
        || v4.octets()[0] == 0
        || v4.is_multicast()
        || v4.is_broadcast()
        || METADATA_V4.contains(&v4)
}

/// The IPv4 address to which a network translates an IPv6 one, for those ways that are known by their prefix.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let (high, low) = match v6.segments() {
        // The machine itself; others that begin so are IPv4-compatible (RFC 4291, 2.5.5.1).
        [0, 0, 0, 0, 0, 0, 0, 1] => return None,
        // IPv4-translated (RFC 2765).
        [0, 0, 0, 0, 0 | 0xffff, 0, high, low]
        // NAT64, well known and local (RFC 6052, RFC 8215).
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        // 6to4 (RFC 3056).
        | [0x2002, high, low, ..]
        // ISATAP (RFC 5214).
        | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => (high, low),
        // Teredo (RFC 4380): the client's address stands inverted.
        [0x2001, 0, _, _, _, _, high, low] => (!high, !low),
        _ => return None,
    };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Address {
        Address::of_url(text).unwrap()
    }

    #[test]
    fn every_spelling_of_an_address_is_that_address() {
        for text in
            ["http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://[::ffff:127.0.0.1]/"]
        {
            assert_eq!(url(text).host, "127.0.0.1", "{text}");
        }
        assert_eq!(url("http://EXAMPLE.com./x").host, "example.com");
        assert_eq!(Address::of_tcp("::1", 5432).unwrap().to_string(), "tcp://[::1]:5432");
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        for text in [
            "unix:///var/run/docker.sock",
            "http://user:pw@h/",
            "http://a\nb/",
            "http://h\\@x/",
            "//h",
            "h:80",
            "ftp://h/",
        ] {
            assert!(Address::of_url(text).is_err(), "{text:?}");
        }
        assert!(Address::of_tcp("h/../x", 1).is_err());
        assert!(Address::of_tcp("h", 0).is_err());
    }

    #[test]
    fn patterns_cover_what_they_say() {
        let health = url("http://10.0.0.7:8080/healthz");
        assert_eq!(covers("http://*:8080/healthz", &health), Coverage::AnyContainer);
        assert_eq!(covers("http://10.0.0.7:8080/*", &health), Coverage::Named);
        assert_eq!(covers("http://10.0.0.7:*/healthz", &health), Coverage::Named);
        for pattern in [
            "https://*:8080/healthz",
            "http://*:8080/",
            "http://*/healthz",
            "http://10.0.0.8:8080/healthz",
            "*",
        ] {
            assert_eq!(covers(pattern, &health), Coverage::None, "{pattern}");
        }
        assert_eq!(
            covers("tcp://db.internal:5432", &Address::of_tcp("DB.internal", 5432).unwrap()),
            Coverage::Named
        );
    }

    #[test]
    fn a_path_under_a_wildcard_never_leads_out_of_it() {
        for path in ["..%2fadmin", "%2e%2e%2Fadmin", "%252e%252e%252fadmin", "x/.%2e/%2E./admin", "..;/admin"]
        {
            let address = url(&format!("http://h/public/{path}"));
            assert_eq!(covers("http://h/public/*", &address), Coverage::None, "{path}");
        }
        for path in ["a%20b", "group%2Fproject", "100%", "%zz", "v1.2/x"] {
            let address = url(&format!("http://h/public/{path}"));
            assert_eq!(covers("http://h/public/*", &address), Coverage::Named, "{path}");
        }
    }

    #[test]
    fn metadata_services_are_forbidden_in_every_spelling() {
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "0.1.2.3",
            "fd00:ec2::254",
            "fd20:ce::254",
            "100.100.100.200",
            "192.0.0.192",
            "64:ff9b::169.254.169.254",
            "64:ff9b::100.100.100.200",
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1:2:3:4:169.254.169.254",
            "2002:a9fe:a9fe::1",
            "2001:0:1234::5601:5601",
            "::169.254.169.254",
            "::ffff:0:169.254.169.254",
            "2001:db8::5efe:169.254.169.254",
            "2001:db8::200:5efe:100.100.100.200",
        ] {
            assert!(forbidden(text.parse().unwrap()), "{text}");
        }
        for text in [
            "10.0.0.7",
            "127.0.0.1",
            "::1",
            "100.100.100.201",
            "64:ff9b::10.0.0.7",
            "2002:a00:7::1",
            "2001:db8::1",
            "fd00:ec2::253",
        ] {
            assert!(!forbidden(text.parse().unwrap()), "{text}");
        }
    }
}
