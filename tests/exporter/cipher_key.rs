//! `CIPHER_KEY` as the ARN of where it is kept: read once, at the start.

use testkit::{Answer, Engine, RuntimeApi, Services};

use crate::common::function::{TIMEOUT, sample, spawn};

/// Where the key is kept.
const PARAMETER: &str = "arn:aws:ssm:eu-west-1:123456789012:parameter/chat/cipher-key";
const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:cipher-key-AbCdEf";
/// The key of `events/encrypted.json`, from Ably's own test fixtures.
const KEY: &str = "WUP6u0K7MXI5Zeo0VppPwg==";

#[tokio::test]
async fn regression_the_cipher_key_need_not_be_in_the_functions_configuration() {
    for arn in [PARAMETER, SECRET] {
        let (engine, services, api) =
            (Engine::start().await, Services::start().await, RuntimeApi::start().await);
        services.set_secret(arn, &format!("{KEY}\n"));
        let env = [engine.env(), services.env()].concat();
        let function = spawn(&api, &env, &[("CIPHER_KEY", arn), ("LOG_LEVEL", "TRACE")]);
        for _ in 0..2 {
            tokio::select! {
                answer = api.invoke(sample("encrypted"), TIMEOUT) => {
                    assert!(matches!(answer, Answer::Response(_)), "{answer:?}");
                }
                () = function.ended() => panic!("it did not start"),
            }
        }
        assert_eq!(services.secret_reads(), 1);
        let rows = engine.rows().await;
        assert!(rows.iter().all(|row| row.contains_key("text")), "decrypted: {rows:?}");
        assert_eq!(rows.len(), 2);
        assert!(!function.kill().await.contains(KEY));
    }
}

/// Messages would be stored as ciphertext, as if nobody had a key.
#[tokio::test]
async fn a_cipher_key_that_cannot_be_read_stops_the_start() {
    let (engine, services, api) =
        (Engine::start().await, Services::start().await, RuntimeApi::start().await);
    let env = [engine.env(), services.env()].concat();
    let settings = [("CIPHER_KEY", PARAMETER), ("AWS_MAX_ATTEMPTS", "1")];
    let missing = format!("CIPHER_KEY: ssm:GetParameter on {PARAMETER}: ParameterNotFound");
    let (status, log) = spawn(&api, &env, &settings).wait().await;
    assert!(!status.success() && log.contains("not started"), "{log}");
    assert!(log.contains(&missing), "{log}");

    services.set_secret(PARAMETER, "dG9vLXNob3J0");
    let (status, log) = spawn(&api, &env, &settings).wait().await;
    assert!(!status.success());
    assert!(log.contains("CIPHER_KEY: 9 bytes once decoded") && !log.contains("dG9v"), "{log}");
    assert_eq!(api.polls(), 0);
}

/// What a program without the key ends with, on both of its outputs.
#[cfg(feature = "archive")]
async fn start(binary: &str, arguments: &[&str], settings: &[(&str, &str)]) -> String {
    let (engine, services) = (Engine::start().await, Services::start().await);
    let mut command = tokio::process::Command::new(binary);
    command.args(arguments).env_clear().envs(engine.env()).envs(services.env());
    command.envs([("CIPHER_KEY", PARAMETER), ("AWS_MAX_ATTEMPTS", "1")]);
    let ended = command.envs(settings.iter().copied()).kill_on_drop(true).output();
    let ended = tokio::time::timeout(TIMEOUT, ended).await;
    let output = ended.expect("it ends by itself").expect("it runs");
    assert!(!output.status.success());
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[cfg(feature = "archive")]
#[tokio::test]
async fn a_cipher_key_that_cannot_be_read_stops_the_backfill() {
    let binary = env!("CARGO_BIN_EXE_ably-chat-archive");
    let settings = [("ABLY_API_KEY", "app.key:hidden")];
    let said = start(binary, &["backfill", "--room", "r"], &settings).await;
    assert!(said.contains(&format!("CIPHER_KEY: ssm:GetParameter on {PARAMETER}")), "{said}");
}
