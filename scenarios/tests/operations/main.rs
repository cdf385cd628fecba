//! What those who run annul rely on: the gateway, a relay of the feed, the doctor, TLS and the
//! command line, each as real processes.

mod cli;
mod descent;
mod doctor;
mod gateway;
mod holder;
mod incident;
mod incident_page;
mod relay;
mod tls;
