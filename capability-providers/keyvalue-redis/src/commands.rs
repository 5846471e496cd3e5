//! The operations as commands of Redis.
//!
//! What could return more than a link accepts goes through a script that looks at the size first, so that the provider
//! never reads it. Invariant: each operation is one command or one script, hence atomic.

use std::sync::LazyLock;

use provider_sdk::contracts::keyvalue::{
    Answer, CompareAndSwapRequest, CompareAndSwapResponse, ListRangeRequest, Request,
};
use redis::{Cmd, FromRedisValue, Script, aio::MultiplexedConnection};

use crate::{
    fault::{Fault, not_text},
    scan,
    settings::LinkSettings,
};

/// A command whose answer has a largest size: `ARGV[1]` the size, `ARGV[2]` the command, then its arguments.
static BOUNDED: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local call = {ARGV[2]}
        for _, key in ipairs(KEYS) do call[#call + 1] = key end
        for i = 3, #ARGV do call[#call + 1] = ARGV[i] end
        local reply = redis.pcall(unpack(call))
        local size = 0
        if type(reply) == 'string' then
            size = #reply
        elseif type(reply) == 'table' and not reply.err then
            for _, item in ipairs(reply) do size = size + #item end
        end
        if size > tonumber(ARGV[1]) then
            return redis.error_reply('TOOLARGE ' .. ARGV[1] .. ' bytes in one answer (link value `max_answer_bytes`)')
        end
        return reply
        ",
    )
});

/// `ARGV`: whether a value is expected, the expected value, the new value, the largest size of an answer.
static COMPARE_AND_SWAP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local current = redis.pcall('GET', KEYS[1])
        if type(current) == 'table' and current.err then return current end
        local same = not current
        if ARGV[1] == '1' then same = current == ARGV[2] end
        if not same then
            if current and #current > tonumber(ARGV[4]) then
                return redis.error_reply('TOOLARGE ' .. ARGV[4] .. ' bytes in one answer (link value `max_answer_bytes`)')
            end
            return {0, current}
        end
        if current then
            redis.call('SET', KEYS[1], ARGV[3], 'KEEPTTL')
        else
            redis.call('SET', KEYS[1], ARGV[3])
        end
        return {1, ARGV[3]}
        ",
    )
});

/// Carries an operation out.
pub async fn carry_out(
    connection: &mut MultiplexedConnection,
    settings: &LinkSettings,
    request: &Request,
) -> Result<Answer, Fault> {
    let key = |key: &str| format!("{}{key}", settings.prefix);
    let keys = |names: &[String]| names.iter().map(|name| key(name)).collect::<Vec<_>>();
    let mut link = On { connection, max_answer: settings.max_answer };
    match request {
        Request::Get(name) => link.bounded(&[key(name)], "GET", &[]).await.map(Answer::value),
        Request::Set(set) => {
            let mut command = Cmd::set(key(&set.key), &set.value.0);
            if set.expires != 0 {
                command.arg("EX").arg(set.expires);
            }
            link.run(command).await.map(|()| Answer::Nothing(()))
        }
        Request::Del(name) | Request::ListClear(name) | Request::SetClear(name) => {
            link.run(Cmd::del(key(name))).await.map(Answer::Bool)
        }
        Request::Contains(name) => link.run(Cmd::exists(key(name))).await.map(Answer::Bool),
        Request::Increment(request) => {
            let mut command = redis::cmd("INCRBY");
            command.arg(key(&request.key)).arg(request.value);
            link.run(command).await.map(Answer::Number)
        }
        Request::ListAdd(add) => link.run(Cmd::rpush(key(&add.list_name), &add.value)).await.map(Answer::count),
        Request::ListRange(ListRangeRequest { list_name, start, stop }) => {
            link.texts(&[key(list_name)], "LRANGE", &[*start, *stop]).await
        }
        Request::ListDel(del) => link.run(Cmd::lrem(key(&del.list_name), 1, &del.value)).await.map(Answer::Bool),
        Request::SetAdd(add) => link.run(Cmd::sadd(key(&add.set_name), &add.value)).await.map(Answer::count),
        Request::SetDel(del) => link.run(Cmd::srem(key(&del.set_name), &del.value)).await.map(Answer::count),
        Request::SetQuery(name) => link.texts(&[key(name)], "SMEMBERS", &[]).await,
        Request::SetUnion(names) | Request::SetIntersection(names) if names.is_empty() => Ok(Answer::Texts(Vec::new())),
        Request::SetUnion(names) => link.texts(&keys(names), "SUNION", &[]).await,
        Request::SetIntersection(names) => link.texts(&keys(names), "SINTER", &[]).await,
        Request::ListKeys(request) => scan::page(link.connection, &settings.prefix, request).await.map(Answer::Keys),
        Request::CompareAndSwap(request) => link.swap(&key(&request.key), request).await.map(Answer::Swapped),
    }
}

struct On<'a> {
    connection: &'a mut MultiplexedConnection,
    max_answer: u64,
}

impl On<'_> {
    async fn run<T: FromRedisValue>(&mut self, command: Cmd) -> Result<T, Fault> {
        Ok(command.query_async(self.connection).await?)
    }

    async fn bounded<T: FromRedisValue>(
        &mut self,
        keys: &[String],
        command: &str,
        positions: &[i32],
    ) -> Result<T, Fault> {
        let mut call = BOUNDED.prepare_invoke();
        for key in keys {
            call.key(key);
        }
        call.arg(self.max_answer).arg(command).arg(positions);
        Ok(call.invoke_async(self.connection).await?)
    }

    async fn texts(&mut self, keys: &[String], command: &str, positions: &[i32]) -> Result<Answer, Fault> {
        let members: Vec<Vec<u8>> = self.bounded(keys, command, positions).await?;
        let texts = members.into_iter().map(|member| String::from_utf8(member).map_err(|_| not_text("a member")));
        texts.collect::<Result<_, _>>().map(Answer::Texts)
    }

    async fn swap(&mut self, key: &str, request: &CompareAndSwapRequest) -> Result<CompareAndSwapResponse, Fault> {
        let expected = request.expected.as_ref().map(|value| value.0.as_slice());
        let mut call = COMPARE_AND_SWAP.prepare_invoke();
        call.key(key).arg(u8::from(expected.is_some())).arg(expected.unwrap_or_default());
        call.arg(&request.value.0).arg(self.max_answer);
        let (swapped, current): (bool, Option<Vec<u8>>) = call.invoke_async(self.connection).await?;
        Ok(CompareAndSwapResponse { swapped, current: current.map(Into::into) })
    }
}
