//! What annul stands beside: libraries, servers, and the floors of the machine.

pub mod axum_floor;
pub mod disk;
pub mod http;
pub mod jwt;
pub mod maps;
pub mod oidc_provider;
pub mod pingpong;
pub mod postgres;
pub mod redis;
pub mod runtimes;
pub mod sse;
