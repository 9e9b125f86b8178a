//! Rows of the table, and somebody who tampers with them.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use testkit::{Ably, Engine, Item};

use crate::common::history::Message;
use crate::program::{messages, run, verify};

pub(crate) async fn rows_of(engine: &Engine, kind: &str) -> Vec<Item> {
    let rows = engine.rows().await.into_iter();
    rows.filter(|row| row["sk"].as_s().is_ok_and(|sk| sk.starts_with(kind))).collect()
}

pub(crate) async fn put(engine: &Engine, item: Item) {
    let put = engine.client().put_item().table_name(Engine::TABLE);
    put.set_item(Some(item)).send().await.expect("a put");
}

pub(crate) async fn delete(engine: &Engine, row: &Item) {
    let key = ["pk", "sk"].map(|name| (name.to_owned(), row[name].clone()));
    let delete = engine.client().delete_item().table_name(Engine::TABLE);
    delete.set_key(Some(key.into())).send().await.expect("a removal");
}

pub(crate) fn altered(row: &Item) -> Item {
    let mut row = row.clone();
    row.insert("text".into(), AttributeValue::S("never said".into()));
    row
}

/// A table with a receipt, and somebody who has access to it.
pub(crate) struct Tampering {
    pub(crate) engine: Engine,
    pub(crate) ably: Ably,
    rows: Vec<Item>,
    pub(crate) edited: Message,
}

impl Tampering {
    pub(crate) async fn start(more: &[&str]) -> Self {
        let (engine, ably) = (Engine::start().await, Ably::start().await);
        let all = messages(30);
        all.iter().for_each(|message| message.publish(&ably, "r"));
        let ran =
            run(&[&["backfill", "--room", "r", "--execute"], more].concat(), &engine, &ably).await;
        assert_eq!(ran.status, 0, "{}", ran.errors);
        let rows = engine.rows().await;
        let edited = all.into_iter().find(|message| message.versions.len() > 2);
        Self { engine, ably, rows, edited: edited.expect("an edited message") }
    }

    /// Three rows of a message that was edited twice: the latest, its version's, an older one's.
    pub(crate) fn rows_of_edited(&self) -> [Item; 3] {
        let version = |version: usize| {
            let version = self.edited.versions[version]["version"]["serial"].as_str();
            format!("version#{}#{}", self.edited.serial, version.expect("a serial"))
        };
        let last = self.edited.versions.len() - 1;
        [format!("message#{}", self.edited.serial), version(last), version(1)]
            .map(|sk| self.row(&sk))
    }

    pub(crate) fn row(&self, sk: &str) -> Item {
        let is_it = |row: &&Item| row["sk"].as_s().is_ok_and(|it| it.starts_with(sk));
        self.rows.iter().find(is_it).expect("a row").clone()
    }

    pub(crate) async fn put(&self, item: Item) {
        put(&self.engine, item).await;
    }

    pub(crate) async fn delete(&self, row: &Item) {
        delete(&self.engine, row).await;
    }

    /// What is said of the receipt.
    pub(crate) async fn problems(&self) -> String {
        let verified = verify(&["r"], &self.engine, &self.ably).await;
        let problems = &verified.events("receipt")[0]["problems"];
        assert_eq!(verified.status == 0, problems == &json!([]), "{problems}");
        problems.to_string()
    }
}
