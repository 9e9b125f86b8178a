//! What `--help` says below the flags: examples, exit statuses and the environment.

use std::fmt::Write;

use crate::exit::Exit;

/// Columns of all help.
pub(crate) const WIDTH: usize = 100;

pub(crate) const OF_ALL: &str = "\
Begin with a dry run, which writes nothing:
  ably-chat-archive backfill --room support:42

Results go to standard output: text on a terminal, else one JSON object a line, whose member
`event` names its kind. Progress, warnings and errors go to standard error.";

/// A variable of the environment, and what it sets.
type Variable = (&'static str, &'static str);

/// What a command line does, and the command line.
type Example = (&'static str, &'static str);

/// An exit status, and what it means.
type Status = (Exit, &'static str);

/// What the help of one command ends with.
pub(crate) struct Ending {
    examples: &'static [Example],
    exits: &'static [Status],
    environment: &'static [&'static [Variable]],
}

/// The table, for every command.
const TABLE: &[Variable] = &[("TABLE_NAME", "required: the DynamoDB table")];

/// Ably's history, for commands that ask for it.
const ABLY: &[Variable] = &[
    ("ABLY_API_KEY", "required: an API key with the capability `history`, or the ARN of the SSM"),
    ("", "parameter or the Secrets Manager secret that holds it"),
    ("ABLY_APP_ID", "the Ably app; keys of other apps are refused"),
    ("ABLY_REST_URL", "another address of Ably's REST API: https, or http on this machine"),
];

/// What a complete table is. Set these as for the exporter.
const CONTENT: &[Variable] = &[
    ("VERSIONS", "both (default), latest or all: the versions that are stored"),
    ("REACTIONS", "latest (default), snapshots or none"),
    ("REACTION_CLIENTS", "ids (default) or totals: whether to store who reacted"),
    ("RETENTION_DAYS", "days until a row expires; default: never"),
    ("ROOM_FILTER", "a regular expression; other rooms are left out"),
    ("ROOM_INDEX", "on (default) or off: whether to note rooms in the table"),
    ("BULK_INSERTS", "on (default) or off: whether to insert new rows many in one request"),
    ("CIPHER_KEY", "the key of encrypted messages, or its ARN as for ABLY_API_KEY"),
];

/// Who may read over HTTP, and from where.
const HISTORY: &[Variable] = &[
    (
        "HISTORY_KEYS",
        "required: the API keys that callers have or that signed their JWTs, separated",
    ),
    ("", "by commas; or JSON with a capability of each; or the ARN of where they are kept"),
    ("HISTORY_SOURCE", "table (default), or merged: Ably's history too, asked as the caller"),
    ("HISTORY_ASK_ABLY", "off (default), or on: ask Ably about tokens that only Ably can read"),
    ("ABLY_APP_ID", "the Ably app; credentials of other apps are refused"),
    ("ABLY_REST_URL", "another address of Ably's REST API"),
    ("RECONCILE_QUEUE_URL", "the SQS queue for rooms of which the table lacks something"),
    ("PUBLISH", "off (default), or on: forward to Ably what is published, and store it"),
    ("PUBLISH_RULES", "what a message must keep: JSON, the path of a file, or an ARN"),
    ("PUBLISH_HOOK", "the Lambda function or URL that is asked before a message is published"),
    ("FAILURE_QUEUE_URL", "the SQS queue for published messages that the table did not take"),
];

/// How AWS is reached.
const AWS: &[Variable] = &[
    ("AWS_…", "credentials and the region, found as the AWS CLI finds them"),
    ("SSL_CERT_FILE", "a file of certificates to trust, instead of Amazon's, for calls to AWS"),
    ("SSL_CERT_DIR", "a directory of them"),
];

/// What a walk over rooms ends with.
const WALK_EXITS: &[Status] = &[
    (Exit::Complete, "everything is there"),
    (
        Exit::Gaps,
        "something is still missing or different; or a room is unknown to Ably and the table",
    ),
    (Exit::Failed, "a room failed (the others went on), or it could not begin"),
    (Exit::Stopped, "it was stopped; the same command goes on from there, if it writes anything"),
];

const OTHERS: &str =
    "Other settings of the exporter have no effect, but a wrong value is an error.";

impl From<Ending> for clap::builder::StyledStr {
    fn from(ending: Ending) -> Self {
        ending.text().into()
    }
}

impl Ending {
    /// Of a command that compares the table with Ably.
    pub(crate) const fn of_walk(examples: &'static [Example]) -> Self {
        Self { examples, exits: WALK_EXITS, environment: &[TABLE, ABLY, CONTENT, AWS] }
    }

    /// Of a command that reads the table alone.
    pub(crate) const fn of_table(examples: &'static [Example], exits: &'static [Status]) -> Self {
        Self { examples, exits, environment: &[TABLE, AWS] }
    }

    /// Of the command that serves the table.
    pub(crate) const fn of_server(examples: &'static [Example], exits: &'static [Status]) -> Self {
        Self { examples, exits, environment: &[TABLE, HISTORY, CONTENT, AWS] }
    }

    fn text(&self) -> String {
        let mut text = String::from("Examples:\n");
        let mut add = |line: std::fmt::Arguments<'_>| {
            text.write_fmt(line).expect("a string takes everything");
        };
        for (purpose, command) in self.examples {
            add(format_args!("  {purpose}:\n    ably-chat-archive {command}\n"));
        }
        add(format_args!("\nExit status:\n"));
        for (exit, meaning) in self.exits {
            add(format_args!("  {:>3}  {meaning}\n", exit.status()));
        }
        add(format_args!("\nEnvironment:\n"));
        for (name, meaning) in self.environment.iter().copied().flatten() {
            add(format_args!("  {name:<19}  {meaning}\n"));
        }
        add(format_args!("\n{OTHERS}"));
        text
    }
}
