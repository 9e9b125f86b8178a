//! What the exporter is tested, run and measured against, none of it part of the exporter: a real
//! DynamoDB engine with the template's own table ([`Engine`]), the Lambda Runtime API
//! ([`RuntimeApi`]) with the built function under it ([`FunctionProcess`]), what else it asks of
//! AWS ([`Services`]), of Ably ([`Ably`]) and of who is asked before a publish ([`Hook`]), a
//! RabbitMQ ([`Broker`]), and a proxy that fails as networks and services do ([`FaultProxy`]).

mod ably;
mod broker;
mod engine;
mod fault_proxy;
mod function;
mod hook;
mod memory;
mod runtime_api;
mod server;
mod services;
pub mod template;

pub use ably::{Ably, Behaviour, Once};
pub use broker::{Broker, Depth};
pub use engine::{Engine, Item, client, env, rows};
pub use fault_proxy::{Capacity, Fault, FaultProxy};
pub use function::FunctionProcess;
pub use hook::{Hook, Question, Reply};
pub use memory::peak_memory_kb;
pub use runtime_api::{Answer, RuntimeApi};
pub use services::Services;
