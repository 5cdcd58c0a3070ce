//! The line between an engine and the command that began it: a pair of sockets, whose one end is the engine's stdin. Over it
//! the engine says whether it is ready, or why not; its end tells either that the other process is gone.

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream as Socket;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::Error;
use words::ids::RunId;

/// Words that were heard and not yet taken. An engine says four at most.
const HEARD: usize = 8;

/// What an engine says to the command that began it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Word {
    /// It takes requests.
    Ready {
        /// Runs that it has set aside.
        aside: Vec<SetAside>,
    },
    /// Another process is the engine.
    Busy,
    /// It cannot begin, or can do nothing more.
    Failed(Error),
    /// It has other runs to carry out, and stays.
    Stays,
}

/// A run that an engine has set aside.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SetAside {
    pub(super) run: RunId,
    pub(super) why: String,
}

/// What a command says to the engine that it began.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Order {
    /// It may begin. Until then it has touched nothing, since what the person typed may be refused.
    Begin,
    /// The command is done.
    Done {
        /// The run that it has followed to its rest.
        followed: Option<RunId>,
    },
}

/// One end of it.
pub(super) struct Line<Heard> {
    heard: mpsc::Receiver<Heard>,
    mouth: OwnedWriteHalf,
    _ear: JoinSet<()>,
}

impl<Heard: DeserializeOwned + Send + 'static> Line<Heard> {
    /// Over a socket. Needs the runtime.
    pub(super) fn over(socket: Socket) -> std::io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (ear, mouth) = UnixStream::from_std(socket)?.into_split();
        let (told, heard) = mpsc::channel(HEARD);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut lines = BufReader::new(ear).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(word) = serde_json::from_str(&line) else { return };
                if told.send(word).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self { heard, mouth, _ear: listening })
    }

    /// The engine's end.
    pub(super) fn of_stdin() -> std::io::Result<Self> {
        Self::over(Socket::from(std::io::stdin().as_fd().try_clone_to_owned()?))
    }

    /// Says something; who is gone does not hear it.
    pub(super) async fn say(&mut self, word: &impl Serialize) {
        if let Ok(line) = serde_json::to_string(word) {
            let _ = self.mouth.write_all(format!("{line}\n").as_bytes()).await;
        }
    }

    /// The next word; none once the other process is gone.
    pub(super) async fn hear(&mut self) -> Option<Heard> {
        self.heard.recv().await
    }

    /// A word that has come already.
    pub(super) fn heard(&mut self) -> Option<Heard> {
        self.heard.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn words_arrive_and_the_end_is_heard() {
        let (ours, theirs) = Socket::pair().unwrap();
        let (mut command, mut engine) =
            (Line::<Word>::over(ours).unwrap(), Line::<Order>::over(theirs).unwrap());
        engine.say(&Word::Failed(Error::invalid("no").hint("try another"))).await;
        let Some(Word::Failed(error)) = command.hear().await else { panic!("another word") };
        assert_eq!(error, Error::invalid("no").hint("try another"));
        command.say(&Order::Begin).await;
        assert!(matches!(engine.hear().await, Some(Order::Begin)));
        drop(command);
        assert!(engine.hear().await.is_none());
    }
}
