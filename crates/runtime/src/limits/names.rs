//! The limits of an actor by name: what an operator writes, and what is counted when it is broken.
//!
//! One table binds each name to its field of [`GuestLimits`]. How values are written is in [`super::settings`].

use std::{fmt, time::Duration};

use super::GuestLimits;

/// What a value measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Time,
    Count,
}

/// A number as a field keeps it; times are milliseconds.
trait Field {
    const MAX: u64;
    fn read(&self) -> u64;
    fn write(&mut self, value: u64);
}

impl Field for u32 {
    const MAX: u64 = u32::MAX as u64;
    fn read(&self) -> u64 {
        u64::from(*self)
    }
    fn write(&mut self, value: u64) {
        *self = u32::try_from(value).unwrap_or(u32::MAX);
    }
}

impl Field for u64 {
    const MAX: u64 = u64::MAX;
    fn read(&self) -> u64 {
        *self
    }
    fn write(&mut self, value: u64) {
        *self = value;
    }
}

impl Field for Duration {
    /// A year.
    const MAX: u64 = 365 * 24 * 3600 * 1000;
    fn read(&self) -> u64 {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
    }
    fn write(&mut self, value: u64) {
        *self = Duration::from_millis(value);
    }
}

macro_rules! limits {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $field:ident, $unit:ident from $least:literal;)*) => {
        /// A limit by name; each is a field of [`GuestLimits`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Limit {
            $($(#[$doc])* $kind,)*
        }

        impl Limit {
            /// Every limit.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// Its name for operators and events.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// Its name in errors of calls.
            pub(crate) const fn field(self) -> &'static str {
                match self { $(Self::$kind => stringify!($field),)* }
            }

            pub(super) const fn unit(self) -> Unit {
                match self { $(Self::$kind => Unit::$unit,)* }
            }

            pub(super) const fn least(self) -> u64 {
                match self { $(Self::$kind => $least,)* }
            }

            pub(super) fn read(self, limits: &GuestLimits) -> u64 {
                match self { $(Self::$kind => limits.$field.read(),)* }
            }

            pub(super) fn write(self, limits: &mut GuestLimits, value: u64) {
                match self { $(Self::$kind => limits.$field.write(value),)* }
            }

            pub(super) fn most(self) -> u64 {
                fn of<T: Field>(_: fn(&GuestLimits) -> &T) -> u64 {
                    T::MAX
                }
                match self { $(Self::$kind => of(|limits| &limits.$field),)* }
            }
        }
    };
}

limits! {
    /// Linear memory of an instance.
    Memory = "memory", memory_bytes, Bytes from 1;
    /// Table elements of an instance.
    Tables = "tables", table_elements, Count from 0;
    /// Core instances of one instance of a component.
    CoreInstances = "core-instances", core_instances, Count from 1;
    /// Longest call.
    CallTime = "call-time", call_time, Time from 1;
    /// Processor time of a call.
    CpuTime = "cpu-time", cpu_time, Time from 1;
    /// Calls at once.
    MaxConcurrent = "max-concurrent", max_concurrent, Count from 1;
    /// Calls that wait.
    Queue = "queue", queue, Count from 0;
    /// Largest argument.
    Payload = "payload", payload_bytes, Bytes from 0;
    /// Largest result.
    Response = "response", response_bytes, Bytes from 0;
    /// Calls out of the guest in a call.
    HostCalls = "host-calls", host_calls_per_call, Count from 0;
    /// Log lines of a call.
    LogLines = "log-lines", log_lines_per_call, Count from 0;
    /// Log lines of the actor in a second.
    LogLinesPerSecond = "log-lines-per-second", log_lines_per_second, Count from 0;
    /// Resource handles of a component.
    Handles = "handles", component_handles, Count from 0;
    /// Calls an instance serves before it is thrown away.
    CallsPerInstance = "calls-per-instance", calls_per_instance, Count from 1;
    /// Idle instances kept.
    IdleInstances = "idle-instances", idle_instances, Count from 0;
    /// Calls inside one instance.
    ConcurrentCalls = "concurrent-calls", concurrent_calls, Count from 1;
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
