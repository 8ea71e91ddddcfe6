-- +goose Up
create table thing (name text primary key);
-- +goose Down
drop table thing;
