//! Against the real daemon, which `make test` starts, with the image that `scripts/image.sh` makes.

mod bed;
mod lifecycle;
mod service;
mod wait;
