-- name: LastLife :one
select life, flushed_at, ended_at, observations from life where instance = $1;

-- name: BeginLife :exec
insert into life (instance, life, started_at, flush_sequence, flushed_at, observations) values (@instance, @life, @now, 0, @now, 0)
on conflict (instance) do update set life = excluded.life, started_at = excluded.started_at, flush_sequence = 0, flushed_at = excluded.flushed_at,
	ended_at = null, observations = 0;

-- name: EndLife :exec
update life set ended_at = @now where instance = @instance and life = @life;
