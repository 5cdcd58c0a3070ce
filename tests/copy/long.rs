//! `make copies`: every odd container is copied on both versions of Docker. See `mod.rs`.
#![expect(clippy::print_stdout, reason = "it prints how it ended")]
#![expect(dead_code, reason = "the tests use more of what they share")]

#[path = "mod.rs"]
mod copy;
#[path = "../support/mod.rs"]
mod support;

fn main() {
    let newer = copy::daemon::newer();
    std::thread::scope(|scope| {
        for daemon in [copy::daemon::own(), newer] {
            scope.spawn(move || copy::recreated_and_scaled(&daemon, usize::MAX));
        }
    });
    println!("every copy is one");
}
