//! The world as a host.

use super::container::Simulated;
use super::{Exec, Inner, PutIn, World};
use crate::{
    Condition, Container, Duration, Error, Event, ExecOutput, ExecRequest, Host, Level, Limits, Overrides,
    Request, Response, Sample, Secret, SecretPart, SecretPlace, State, Stopped,
};

/// How far the clock goes at once while something is waited for.
const TICK_MS: u64 = 100;

impl Inner {
    pub(super) fn add(&mut self, container: Simulated) {
        self.containers.push(container);
        self.containers.sort_by_key(|c| (c.container.replica, c.container.name.clone()));
    }

    pub(super) fn named(&mut self, name: &str) -> &mut Simulated {
        let found = self.containers.iter_mut().find(|c| c.container.name == name || c.container.id == name);
        match found {
            Some(container) => container,
            None => panic!("there is no container `{name}`"),
        }
    }

    fn find(&mut self, id: &str) -> Result<&mut Simulated, Error> {
        let found = self.containers.iter_mut().find(|c| c.container.name == id || c.container.id == id);
        found.ok_or_else(|| Error::not_found("containers.unknown", format!("there is no container `{id}`")))
    }

    fn now(&mut self) -> Vec<Container> {
        let now_ms = self.now_ms;
        self.containers.iter_mut().map(|c| c.at(now_ms)).collect()
    }

    /// Refuses if told to, else writes it down; the name is the container's before the write.
    fn write(&mut self, call: &str, id: &str, more: &str) -> Result<(), Error> {
        let name = self.find(id)?.container.name.clone();
        let whole = format!("{call} {name}");
        self.check(call, &whole)?;
        self.writes.push(whole + more);
        Ok(())
    }

    fn check(&mut self, call: &str, whole: &str) -> Result<(), Error> {
        for refusal in self.refusals.iter_mut().filter(|r| r.call == call || r.call == whole) {
            if refusal.after == 0 {
                return Err(refusal.error.clone());
            }
            refusal.after -= 1;
        }
        Ok(())
    }

    fn put(&mut self, secret: &Secret, place: String) {
        self.put_in.push(PutIn { secret: secret.name(), place });
    }

    fn put_all(&mut self, kind: &str, named: &[(String, Secret)]) {
        for (name, secret) in named {
            self.put(secret, format!("{kind} {name}"));
        }
    }

    fn answer(&mut self, id: &str) -> Result<Container, Error> {
        let available = self.now().iter().filter(|c| c.available()).count();
        self.most_down = self.most_down.max(self.replicas.saturating_sub(available));
        let now_ms = self.now_ms;
        Ok(self.find(id)?.at(now_ms))
    }
}

impl Host for World {
    fn service(&self, service: &str) -> Result<Vec<Container>, Error> {
        self.inner.borrow_mut().check("service", service)?;
        let mut found = self.inner.borrow_mut().now();
        found.retain(|c| c.service == service);
        if found.is_empty() {
            return Err(Error::not_found("containers.unknown", format!("there is no service `{service}`")));
        }
        Ok(found)
    }

    fn project(&self, project: &str) -> Result<Vec<Container>, Error> {
        let mut found = self.inner.borrow_mut().now();
        found.retain(|c| c.service.split('/').next() == Some(project));
        Ok(found)
    }

    fn dependents(&self, service: &str) -> Result<Vec<Container>, Error> {
        let owners = self.service(service)?;
        let mut found = self.inner.borrow_mut().now();
        let shares = |c: &Container| owners.iter().any(|owner| c.network_owner.as_ref() == Some(&owner.id));
        let restarts = |c: &Container| owners.iter().any(|owner| c.restarts_with.contains(&owner.service));
        found.retain(|c| owners.iter().all(|owner| owner.service != c.service) && (shares(c) || restarts(c)));
        Ok(found)
    }

    fn inspect(&self, id: &str) -> Result<Container, Error> {
        let mut inner = self.inner.borrow_mut();
        let now_ms = inner.now_ms;
        Ok(inner.find(id)?.at(now_ms))
    }

    fn wait_until(&self, id: &str, condition: Condition, timeout: Duration) -> Result<Container, Error> {
        let mut inner = self.inner.borrow_mut();
        inner.check("wait-until", "wait-until")?;
        let deadline = inner.now_ms + timeout.as_ms();
        let mut held_since = None;
        loop {
            let now_ms = inner.now_ms;
            let container = inner.find(id)?.at(now_ms);
            let name = &container.name;
            let holds = match condition {
                Condition::HealthyFor(ms) if container.available() => {
                    now_ms - *held_since.get_or_insert(now_ms) >= ms
                }
                Condition::HealthyFor(_) if !container.up() => {
                    let words = format!("`{name}` has exited with {}", container.exit_code);
                    return Err(Error::conflict("containers.exited", words));
                }
                Condition::HealthyFor(_) => {
                    held_since = None;
                    false
                }
                Condition::Running => container.state == State::Running,
                Condition::Exited => !container.up(),
            };
            if holds {
                return Ok(container);
            }
            if now_ms >= deadline {
                let words = format!("`{name}` is {} after {timeout}", container.health.word());
                return Err(Error::timed_out("containers.wait", words));
            }
            inner.now_ms += TICK_MS;
        }
    }

    fn stop(&self, id: &str, _: Option<Duration>) -> Result<Stopped, Error> {
        let mut inner = self.inner.borrow_mut();
        inner.write("stop", id, "")?;
        inner.now_ms += TICK_MS;
        let now_ms = inner.now_ms;
        let (exit_code, killed) = inner.find(id)?.stop();
        inner.find(id)?.end(now_ms, exit_code);
        Ok(Stopped { container: inner.answer(id)?, killed })
    }

    fn start(&self, id: &str) -> Result<Container, Error> {
        let mut inner = self.inner.borrow_mut();
        inner.write("start", id, "")?;
        let now_ms = inner.now_ms;
        inner.find(id)?.start(now_ms);
        inner.answer(id)
    }

    fn kill(&self, id: &str, signal: &str) -> Result<Container, Error> {
        let mut inner = self.inner.borrow_mut();
        inner.write("kill", id, &format!(" {signal}"))?;
        let now_ms = inner.now_ms;
        inner.find(id)?.end(now_ms, 137);
        inner.answer(id)
    }

    fn pause(&self, id: &str) -> Result<Container, Error> {
        let mut inner = self.inner.borrow_mut();
        inner.write("pause", id, "")?;
        inner.find(id)?.container.state = State::Paused;
        inner.answer(id)
    }

    fn unpause(&self, id: &str) -> Result<Container, Error> {
        let mut inner = self.inner.borrow_mut();
        inner.write("unpause", id, "")?;
        inner.find(id)?.container.state = State::Running;
        inner.answer(id)
    }

    fn create(&self, from: &str, name: &str, overrides: &Overrides<'_>) -> Result<Container, Error> {
        let mut inner = self.inner.borrow_mut();
        inner.write("create", from, &format!(" as {name}"))?;
        inner.created += 1;
        let (number, now_ms) = (inner.created, inner.now_ms);
        let mut clone = inner.find(from)?.cloned(name, number, overrides, now_ms);
        let container = clone.at(now_ms);
        inner.add(clone);
        inner.put_all("env", overrides.secret_env);
        inner.put_all("file", overrides.secret_files);
        Ok(container)
    }

    fn remove(&self, id: &str, force: bool) -> Result<(), Error> {
        let mut inner = self.inner.borrow_mut();
        inner.write("remove", id, "")?;
        let container = &inner.find(id)?.container;
        if container.up() && !force {
            let words = format!("`{}` is running: stop it first", container.name);
            return Err(Error::conflict("containers.running", words));
        }
        inner.containers.retain(|c| c.container.id != id && c.container.name != id);
        Ok(())
    }

    fn rename(&self, id: &str, name: &str) -> Result<Container, Error> {
        let mut inner = self.inner.borrow_mut();
        inner.write("rename", id, &format!(" to {name}"))?;
        if inner.containers.iter().any(|c| c.container.name == name) {
            return Err(Error::conflict("containers.name-taken", format!("`{name}` is taken")));
        }
        name.clone_into(&mut inner.find(id)?.container.name);
        inner.answer(id)
    }

    fn update(&self, id: &str, limits: Limits) -> Result<Container, Error> {
        let mut inner = self.inner.borrow_mut();
        inner.write("update", id, "")?;
        inner.find(id)?.container.limits = limits;
        inner.answer(id)
    }

    fn exec(&self, id: &str, request: &ExecRequest<'_>) -> Result<ExecOutput, Error> {
        let mut inner = self.inner.borrow_mut();
        inner.write("exec", id, "")?;
        inner.put_all("env", request.secret_env);
        let text = |text: Option<&str>| text.map(str::to_owned);
        let exec = Exec {
            container: inner.find(id)?.container.name.clone(),
            command: request.command.to_vec(),
            env: request.env.to_vec(),
            input: text(request.input),
            user: text(request.user),
            workdir: text(request.workdir),
        };
        inner.execs.push(exec);
        let silent =
            || ExecOutput { exit_code: 0, stdout: String::new(), stderr: String::new(), truncated: false };
        Ok(inner.answer_exec.clone().unwrap_or_else(silent))
    }

    fn logs(&self, id: &str, lines: u32, previous: bool) -> Result<String, Error> {
        let mut inner = self.inner.borrow_mut();
        let name = inner.find(id)?.container.name.clone();
        inner.check("logs", &format!("logs {name}"))?;
        let text = inner.logs.get(&name).cloned().unwrap_or_default();
        if previous {
            return Ok(String::new());
        }
        let all: Vec<&str> = text.lines().collect();
        Ok(all[all.len().saturating_sub(lines as usize)..].join("\n"))
    }

    fn stats(&self, id: &str) -> Result<Sample, Error> {
        let mut inner = self.inner.borrow_mut();
        let name = inner.find(id)?.container.name.clone();
        let idle = Sample { cpu_percent: 0.0, memory_bytes: 0, memory_limit_bytes: 0, pids: 1 };
        Ok(inner.samples.get(&name).copied().unwrap_or(idle))
    }

    fn top(&self, id: &str) -> Result<Vec<Vec<String>>, Error> {
        self.inner.borrow_mut().find(id)?;
        Ok(vec![vec!["PID".to_owned(), "CMD".to_owned()], vec!["1".to_owned(), "server".to_owned()]])
    }

    fn events(&self, id: &str, _: u64) -> Result<Vec<Event>, Error> {
        let mut inner = self.inner.borrow_mut();
        let name = inner.find(id)?.container.name.clone();
        Ok(inner.events.get(&name).cloned().unwrap_or_default())
    }

    fn document(&self, id: &str) -> Result<String, Error> {
        let mut inner = self.inner.borrow_mut();
        Ok(serde_json::json!({ "Id": inner.find(id)?.container.id }).to_string())
    }

    fn send(&self, request: &Request, secrets: &[SecretPart<'_>]) -> Result<Response, Error> {
        let mut inner = self.inner.borrow_mut();
        inner.check("send", &request.url)?;
        for part in secrets {
            let place = match &part.place {
                SecretPlace::Header(name) => format!("header {name} {:?}", part.prefix),
                SecretPlace::JsonField(pointer) => format!("json-field {pointer} {:?}", part.prefix),
                SecretPlace::FormField(name) => format!("form-field {name} {:?}", part.prefix),
                SecretPlace::BasicAuth(user) => format!("basic-auth {user}"),
            };
            inner.put(part.secret, place);
        }
        inner.sent.push(request.clone());
        inner.responses.get(&request.url).cloned().unwrap_or_else(|| {
            Err(Error::unavailable("http.connect", format!("`{}` does not answer", request.url)))
        })
    }

    fn secret(&self, name: &str) -> Result<Secret, Error> {
        let mut inner = self.inner.borrow_mut();
        inner.check("secret", &format!("secret {name}"))?;
        let found = inner.secrets.contains_key(name).then(|| Secret::named(name, "1"));
        found.ok_or_else(|| Error::not_found("secrets.unknown", format!("there is no secret `{name}`")))
    }

    fn reveal(&self, secret: &Secret) -> Result<String, Error> {
        let name = secret.name();
        let mut inner = self.inner.borrow_mut();
        inner.check("reveal", &format!("reveal {name}"))?;
        Ok(inner.secrets.get(&name).cloned().unwrap_or_default())
    }

    fn connect(&self, host: &str, port: u16, _: Duration) -> Result<u64, Error> {
        let address = format!("{host}:{port}");
        if self.inner.borrow().sockets.contains(&address) {
            Ok(1)
        } else {
            Err(Error::unavailable("tcp.connect", format!("`{address}` does not answer")))
        }
    }

    fn get(&self, bucket: &str, key: &str) -> Result<Option<String>, Error> {
        Ok(self.inner.borrow().state.get(&(bucket.to_owned(), key.to_owned())).cloned())
    }

    fn set(&self, bucket: &str, key: &str, value: &str) -> Result<(), Error> {
        self.inner.borrow_mut().state.insert((bucket.to_owned(), key.to_owned()), value.to_owned());
        Ok(())
    }

    fn list_keys(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, Error> {
        let inner = self.inner.borrow();
        let keys = inner.state.keys().filter(|(b, key)| b == bucket && key.starts_with(prefix));
        Ok(keys.map(|(_, key)| key.clone()).collect())
    }

    fn delete(&self, bucket: &str, key: &str) -> Result<(), Error> {
        self.inner.borrow_mut().state.remove(&(bucket.to_owned(), key.to_owned()));
        Ok(())
    }

    fn keep(&self, name: &str, content: &str) -> Result<String, Error> {
        let mut inner = self.inner.borrow_mut();
        inner.check("keep", &format!("keep {name}"))?;
        inner.artifacts.push((name.to_owned(), content.to_owned()));
        Ok(format!("{:064x}", inner.artifacts.len()))
    }

    fn now_ms(&self) -> u64 {
        self.inner.borrow().now_ms
    }

    fn sleep(&self, time: Duration) -> Result<(), Error> {
        self.pass(time.as_ms());
        Ok(())
    }

    fn random(&self) -> u64 {
        4
    }

    fn log(&self, level: Level, message: &str) {
        self.inner.borrow_mut().lines.push((level, message.to_owned()));
    }

    fn progress(&self, _: u32, _: u32, _: &str) {}
}
