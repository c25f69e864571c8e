//! Service utilities for servers.
