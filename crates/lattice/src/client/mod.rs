//! Clients of the control interface and of RPC.
