-- name: PutBlindIntervals :execrows
-- A better end replaces; an end that is known is never taken back.
insert into console.blind_intervals (org_id, installation_id, interval_id, cluster, from_at, to_at, body, received_at)
select @org_id::bigint, @installation_id::text, u.interval_id, @cluster::text, u.from_at,
       case when u.ended then u.to_at end, u.body, @received_at::timestamptz
from (
    select unnest(@ids::text[]) as interval_id, unnest(@froms::timestamptz[]) as from_at, unnest(@ended::boolean[]) as ended,
           unnest(@tos::timestamptz[]) as to_at, unnest(@bodies::bytea[]) as body
) u
on conflict (org_id, installation_id, interval_id) do update
set from_at = excluded.from_at, to_at = excluded.to_at, body = excluded.body, received_at = excluded.received_at
where blind_intervals.to_at is null or excluded.to_at is not null;

-- name: MoveBlindIntervals :exec
-- A cluster that registers again goes on telling the ends of its intervals, under its new name.
update console.blind_intervals set installation_id = @now
where org_id = @org_id and installation_id = @before;

-- name: ListBlindIntervals :many
select installation_id, interval_id, cluster, from_at, body from console.blind_intervals
where org_id = @org_id
  and (sqlc.narg(cluster)::text is null or cluster = sqlc.narg(cluster))
  and (sqlc.narg(before)::timestamptz is null
       or (from_at, installation_id, interval_id) < (sqlc.narg(before)::timestamptz, @before_installation::text, @before_id::text))
order by from_at desc, installation_id desc, interval_id desc
limit @page_size;

-- name: RecentBlindIntervals :many
-- Of each installation, those that last or ended since.
select b.installation_id, b.body
from console.installations i
cross join lateral (
    select n.installation_id, n.from_at, n.body from console.blind_intervals n
    where n.org_id = i.org_id and n.installation_id = i.installation_id and (n.to_at is null or n.to_at >= @since::timestamptz)
    order by n.from_at desc, n.interval_id desc
    limit @most
) b
where i.org_id = @org_id
order by b.installation_id, b.from_at desc;

-- name: DeleteOldBlindIntervals :execrows
-- One that lasts is kept as long as somebody could still tell its end.
delete from console.blind_intervals b
where b.to_at < @before::timestamptz
   or (b.to_at is null and b.received_at < @before::timestamptz and not exists (
       select 1 from console.installations i
       where i.org_id = b.org_id and i.installation_id = b.installation_id and i.revoked_at is null));
