package blind

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// Reasons, as a person reads them.
const (
	restarted = "agent restarted"
	silent    = "agent silent"
	withdrawn = "agent was silent, nothing was lost"
	givenUp   = "agent silent, given up"
)

// maxLives bounds what is remembered of one agent: what a late report may still be about.
const maxLives = 8

// life is one life of an agent: from its start on, in nanoseconds; 0 = not known.
type life struct {
	Started int64 `json:"started"`
	// From and Until bound what it watched, as far as that was told.
	From  int64 `json:"from,omitempty"`
	Until int64 `json:"until,omitempty"`
}

func (l life) watched() bool { return l.From != 0 || l.Until != 0 }

// end is up to when it is known to have watched.
func (l life) end() int64 { return max(l.From, l.Until) }

// agent is all lives of one instance, and how the newest does.
type agent struct {
	Lives []life `json:"lives"`
	// Silent: an interval is open because nothing was heard.
	Silent bool `json:"silent,omitempty"`

	// heard is when the newest life was last spoken of; connected what was said, and since when that it is not.
	heard     time.Time
	connected bool
	since     time.Time
	dirty     bool
}

func (a *agent) newest() *life { return &a.Lives[len(a.Lives)-1] }

// life finds the life that began then, or makes a place for it; nil if it is older than all that is remembered.
func (a *agent) life(started int64) *life {
	at, known := slices.BinarySearchFunc(a.Lives, started, func(l life, t int64) int { return cmp.Compare(l.Started, t) })
	if !known {
		if at == 0 && len(a.Lives) == maxLives {
			return nil
		}
		a.Lives = slices.Insert(a.Lives, at, life{Started: started})
		if len(a.Lives) > maxLives {
			a.Lives = slices.Delete(a.Lives, 0, 1)
			at--
		}
	}
	return &a.Lives[at]
}

// intervals follows from the lives alone: between one that watched and the next there is one, and after the last if it is
// silent, or was followed by one that does not watch yet.
func (a *agent) intervals(instance string) []*statusv1.BlindInterval {
	var list []*statusv1.BlindInterval
	for i, l := range a.Lives {
		if !l.watched() {
			continue
		}
		next := slices.IndexFunc(a.Lives[i+1:], life.watched)
		switch {
		case next >= 0:
			list = append(list, interval(instance, l, a.Lives[i+1+next].From, restarted))
		case i+1 < len(a.Lives):
			list = append(list, interval(instance, l, 0, restarted))
		case a.Silent:
			list = append(list, interval(instance, l, 0, silent))
		}
	}
	return list
}

// interval begins where a life ended; to 0 = it lasts. The two ends come from two clocks, so that it may have no length.
func interval(instance string, l life, to int64, reason string) *statusv1.BlindInterval {
	from := l.end()
	if to != 0 && to < from {
		from = to
	}
	b := &statusv1.BlindInterval{Id: idOf(instance, l.Started), Node: instance, Reason: reason, From: stamp(from)}
	if to != 0 {
		b.To = stamp(to)
	}
	return b
}

// idOf is the same wherever the interval after a life is told again.
func idOf(instance string, started int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s%d", len(instance), instance, started))
	return hex.EncodeToString(sum[:16])
}

func stamp(ns int64) *timestamppb.Timestamp { return timestamppb.New(time.Unix(0, ns)) }

func nanos(t *timestamppb.Timestamp) int64 {
	if t == nil || !t.IsValid() {
		return 0
	}
	return t.AsTime().UnixNano()
}

// readAgent reads what was kept, and takes only what it would have written.
func readAgent(data []byte) (*agent, error) {
	a := &agent{}
	if err := json.Unmarshal(data, a); err != nil {
		return nil, fmt.Errorf("an agent's lives cannot be read: %w", err)
	}
	inOrder := slices.IsSortedFunc(a.Lives, func(x, y life) int { return cmp.Compare(x.Started, y.Started) })
	if len(a.Lives) == 0 || len(a.Lives) > maxLives || !inOrder {
		return nil, fmt.Errorf("an agent with %d lives, or with lives out of order, cannot be", len(a.Lives))
	}
	return a, nil
}
