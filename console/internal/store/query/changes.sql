-- name: Notify :exec
-- Delivered when the transaction commits, once for equal payloads.
select pg_notify('sidelight_console', @payload::text);
