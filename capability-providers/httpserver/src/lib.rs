//! capability-providers/httpserver
