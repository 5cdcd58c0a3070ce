//! Texts about containers: names of services, containers and images, signals, paths of secret files, names of variables and
//! labels. `validate`, the host and the client of the daemon use the same checks.

use super::unfit::Unfit;

/// The longest path of a secret file, in bytes, and one more: the room that a tar header has.
const MAX_PATH_BYTES: usize = 100;
/// Labels that tell whose a container is.
const RESERVED_LABELS: [&str; 3] = ["com.docker.", "io.docker.", "runbook."];

/// Linux signals that may be sent, without `SIG`.
const SIGNALS: &[&str] = &[
    "ABRT", "ALRM", "CHLD", "CONT", "HUP", "INT", "IO", "KILL", "PIPE", "QUIT", "STOP", "TERM", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "WINCH",
];
/// The longest name of a container, in bytes.
const MAX_NAME_BYTES: usize = 255;
/// What a name is made of.
const LETTERS: &str = "letters, digits, `_`, `.` and `-`, the first one a letter or a digit";

/// `[a-zA-Z0-9][a-zA-Z0-9_.-]*`: Docker's rule for names of containers, which Compose's projects and services keep too.
pub fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.len() <= MAX_NAME_BYTES
        && bytes.iter().all(legal)
}

/// `project/service` or a bare service.
pub fn is_service(text: &str) -> bool {
    match text.split_once('/') {
        Some((project, service)) => is_name(project) && is_name(service),
        None => is_name(text),
    }
}

/// `[registry[:port]/]path[:tag][@digest]`, or an image id.
pub fn is_image(text: &str) -> bool {
    let legal = |part: &str| {
        is_name(part.split(['@', ':']).next().unwrap_or_default())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-:@".contains(c))
    };
    !text.is_empty() && text.split('/').all(legal)
}

/// The signal's whole name, `SIGHUP` for `HUP` and `SIGHUP` alike.
pub fn signal(text: &str) -> Option<String> {
    let short = text.strip_prefix("SIG").unwrap_or(text);
    SIGNALS.contains(&short).then(|| format!("SIG{short}"))
}

/// Whether this can be the name of a service.
pub fn check_service(text: &str) -> Result<(), Unfit> {
    check(text, is_service(text), "the name of a service", is_service)
        .map_err(|unfit| with_rule(unfit, &format!("write `service` or `project/service`, of {LETTERS}")))
}

/// Whether this can be the name of a Compose project.
pub fn check_project(text: &str) -> Result<(), Unfit> {
    check(text, is_name(text), "the name of a project", is_name)
        .map_err(|unfit| with_rule(unfit, &format!("write {LETTERS}")))
}

/// Whether this can be the name or the id of a container.
pub fn check_container(text: &str) -> Result<(), Unfit> {
    check(text, is_name(text), "the name or the id of a container", is_name)
        .map_err(|unfit| with_rule(unfit, &format!("write {LETTERS}")))
}

/// Whether this can be the name of an image.
pub fn check_image(text: &str) -> Result<(), Unfit> {
    check(text, is_image(text), "the name of an image", is_image)
        .map_err(|unfit| with_rule(unfit, "for example `registry.example/shop/web:1.4`"))
}

/// Whether this is a signal.
pub fn check_signal(text: &str) -> Result<(), Unfit> {
    if signal(text).is_some() {
        return Ok(());
    }
    let upper = text.trim().to_ascii_uppercase();
    let hint = match signal(&upper) {
        Some(_) => format!("did you mean `{upper}`?"),
        None => "for example `HUP`, `TERM`, `USR1` or `KILL`".to_owned(),
    };
    Err(Unfit::new(format!("`{}` is not a signal", shown(text)), hint))
}

/// A space is hard to see and often all that is wrong.
fn check(text: &str, fits: bool, what: &str, is: fn(&str) -> bool) -> Result<(), Unfit> {
    if fits {
        return Ok(());
    }
    if text.is_empty() {
        return Err(Unfit { message: format!("{what} is empty"), hint: None });
    }
    if !text.contains(char::is_whitespace) {
        return Err(Unfit { message: format!("`{}` is not {what}", shown(text)), hint: None });
    }
    let without: String = text.split_whitespace().collect();
    let hint = is(&without).then(|| format!("did you mean `{without}`?"));
    Err(Unfit { message: format!("{what} contains a space: `{}`", shown(text)), hint })
}

fn with_rule(unfit: Unfit, rule: &str) -> Unfit {
    Unfit { hint: unfit.hint.or_else(|| Some(rule.to_owned())), ..unfit }
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_NAME_BYTES).collect::<String>().escape_debug().to_string()
}

/// Whether a secret file can be put at this path.
pub fn check_file(path: &str) -> Result<(), Unfit> {
    let shown = path.chars().take(MAX_PATH_BYTES).collect::<String>().escape_debug().to_string();
    let unfit = |why: &str| Unfit::new(format!("`{shown}` {why}"), "for example `/run/secrets/token`");
    let parts = || path.split('/').skip(1);
    if !path.starts_with('/') || parts().any(|part| matches!(part, "" | "." | "..")) {
        return Err(unfit("is not the absolute path of a file"));
    }
    if path.len() >= MAX_PATH_BYTES || path.chars().any(char::is_control) {
        return Err(unfit(&format!("is longer than {} bytes, or not plain text", MAX_PATH_BYTES - 1)));
    }
    if matches!(parts().next(), Some("proc" | "sys" | "dev")) {
        return Err(unfit("is the kernel's: a file put there is not there when the container runs"));
    }
    Ok(())
}

/// The longest name of a user, in bytes.
const MAX_USER_BYTES: usize = 256;
/// The longest path of a working directory, in bytes.
const MAX_WORKDIR_BYTES: usize = 4_096;

/// Whether a command can run as this user.
pub fn check_user(text: &str) -> Result<(), Unfit> {
    let legal = |c: char| !c.is_control() && !c.is_whitespace();
    if text.is_empty() || text.len() > MAX_USER_BYTES || !text.chars().all(legal) {
        let message = format!("`{}` is not a user", shown(text));
        return Err(Unfit::new(message, "write a name, a number, or `UID:GID`"));
    }
    Ok(())
}

/// Whether a command can run in this directory.
pub fn check_workdir(text: &str) -> Result<(), Unfit> {
    if !text.starts_with('/') || text.len() > MAX_WORKDIR_BYTES || text.contains('\0') {
        return Err(Unfit::new(
            format!("`{}` is not an absolute path", shown(text)),
            "for example `/srv/app`",
        ));
    }
    Ok(())
}

/// Whether this names an environment variable.
pub fn check_variable(name: &str) -> Result<(), Unfit> {
    if name.is_empty() || name.contains(['=', '\0']) {
        let message = format!("`{}` is not the name of an environment variable", name.escape_debug());
        return Err(Unfit::new(message, "for example `DB_PASSWORD`: a name contains no `=`"));
    }
    Ok(())
}

/// Whether a step may set or remove a label of this name.
pub fn check_label_name(name: &str) -> Result<(), Unfit> {
    if name.is_empty() {
        return Err(Unfit::new("the name of a label is empty", "write its name"));
    }
    let plain = name.trim().to_ascii_lowercase();
    if RESERVED_LABELS.iter().any(|prefix| plain.starts_with(prefix)) {
        let message =
            format!("label `{}` says whose a container is: a step may not change it", name.escape_debug());
        return Err(Unfit::new(message, "choose another name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        check_container, check_file, check_image, check_label_name, check_service, check_signal,
        check_variable,
    };

    #[test]
    fn texts_of_containers() {
        assert!(check_file("/run/secrets/token").is_ok());
        for path in
            ["", "token", "/", "/a/", "/a//b", "/a/../b", "/proc/1", "/a\nb", &format!("/{}", "a".repeat(99))]
        {
            assert!(check_file(path).is_err(), "{path}");
        }
        assert!(
            check_variable("A B").is_ok() && check_variable("A=B").is_err() && check_variable("").is_err()
        );
        assert!(check_label_name("team").is_ok() && check_label_name(" Com.Docker.compose.project").is_err());
    }

    #[test]
    fn names_say_what_is_wrong_with_them() {
        let told = |unfit: Result<(), super::Unfit>| {
            let unfit = unfit.unwrap_err();
            format!("{} ({})", unfit.message, unfit.hint.unwrap_or_default())
        };
        assert_eq!(
            told(check_service("night/ api")),
            "the name of a service contains a space: `night/ api` (did you mean `night/api`?)"
        );
        assert!(
            told(check_service("a/b/c"))
                .starts_with("`a/b/c` is not the name of a service (write `service` or")
        );
        assert!(told(check_service("")).starts_with("the name of a service is empty (write"));
        assert!(told(check_container("web 1")).contains("contains a space: `web 1` (did you mean `web1`?)"));
        assert_eq!(told(check_signal("sighup")), "`sighup` is not a signal (did you mean `SIGHUP`?)");
        assert!(
            check_signal("HUP").is_ok()
                && check_image("r.example:5000/a/b:1").is_ok()
                && check_image("a b").is_err()
        );
    }
}
