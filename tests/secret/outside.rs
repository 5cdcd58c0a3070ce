//! A directory of files that the program `age` wrote.

use super::bed::{CANARY, Home, age};

#[test]
fn it_is_a_store_beside_our_own() {
    let home = Home::new();
    home.set("own", "mine-mine");
    let recipient = home.engine.json(&["secret", "list"])["recipient"].as_str().expect("a key").to_owned();
    let folder = home.engine.path("team/mail");
    std::fs::create_dir_all(&folder).expect("a folder");
    let sealed = age(&["--encrypt", "--armor", "-r", &recipient], format!("{CANARY}\n").as_bytes());
    std::fs::write(folder.join("password.age"), sealed).expect("a file");
    home.engine.write("runbook.toml", "[[secrets.directories]]\nname = \"team\"\npath = \"team\"\n");
    home.engine.must(0, &["config", "show"]).says(&["secrets.directories.team", "secrets.identity"]);
    home.engine.must(0, &["secret", "list"]).says(&["own", "team/mail/password"]);
    assert_eq!(home.reveal("team/mail/password"), CANARY);
    home.engine
        .must(3, &["secret", "show", "team/mail/pasword"])
        .says(&["did you mean `team/mail/password`?"]);
    for words in
        [&["secret", "versions", "team/mail/password"][..], &["secret", "remove", "team/mail/password"]]
    {
        home.engine.must(3, words).says(&["outside store", "changed there"]);
    }
    let refused = home.stdin(&["secret", "set", "team/x"], b"anything");
    assert_eq!(refused.code, 3);
    refused.says(&["directory `team`"]);
    // The old key stays for what others have encrypted to it.
    home.engine.must(0, &["secret", "rekey"]);
    assert_eq!(home.reveal("team/mail/password"), CANARY);
}
