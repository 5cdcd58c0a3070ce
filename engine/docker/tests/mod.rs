//! Against the real daemon, which `make test` starts, with the image that `tests/scripts/image.sh` makes.

mod bed;
mod clone;
mod copies;
mod doubt;
mod ending;
mod evidence;
mod exec;
mod files;
mod hostile;
mod lifecycle;
mod limits;
mod service;
mod tls;
mod wait;
