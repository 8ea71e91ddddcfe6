package blind

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// changes gives the notes that must be written, and how to make them due again.
func (t *Tracker) changes() (notes map[string][]byte, undo func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	notes = map[string][]byte{}
	gone := t.gone
	t.gone = nil
	for _, name := range gone {
		notes[name] = nil
	}
	var agents []*agent
	for name, a := range t.agents {
		if !a.dirty {
			continue
		}
		// Numbers and truths always have a form.
		notes[agentNote+name], _ = json.Marshal(a)
		a.dirty = false
		agents = append(agents, a)
	}
	var intervals []*held
	for id, h := range t.held {
		if !h.dirty {
			continue
		}
		notes[intervalNote+id] = writeHeld(h)
		h.dirty = false
		intervals = append(intervals, h)
	}
	return notes, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.gone = append(gone, t.gone...)
		for _, a := range agents {
			a.dirty = true
		}
		for _, h := range intervals {
			h.dirty = true
		}
	}
}

// load takes one note. An interval that the console has was told before the restart, too.
func (t *Tracker) load(name string, value []byte, now time.Time) error {
	if instance, ok := strings.CutPrefix(name, agentNote); ok {
		a, err := readAgent(value)
		if err != nil {
			return err
		}
		a.heard, a.connected, a.since = now, true, now
		t.agents[instance] = a
		return nil
	}
	id, ok := strings.CutPrefix(name, intervalNote)
	if !ok {
		return fmt.Errorf("note %q is none of an agent", name)
	}
	h, err := readHeld(value)
	if err != nil {
		return err
	}
	if h.interval.GetId() != id {
		return errors.New("an interval is kept under another id")
	}
	h.untold = h.untold && t.cfg.Uploads
	t.held[id] = h
	if h.untold {
		t.announce()
	}
	return nil
}

// writeHeld is one byte for untold, then the interval.
func writeHeld(h *held) []byte {
	note := []byte{0}
	if h.untold {
		note[0] = 1
	}
	// Its texts are ours or valid UTF-8 already, so that it always has a form.
	note, _ = proto.MarshalOptions{}.MarshalAppend(note, h.interval)
	return note
}

func readHeld(note []byte) (*held, error) {
	if len(note) == 0 || note[0] > 1 {
		return nil, errors.New("an interval's note cannot be read")
	}
	b := &statusv1.BlindInterval{}
	if err := proto.Unmarshal(note[1:], b); err != nil {
		return nil, fmt.Errorf("an interval's note cannot be read: %w", err)
	}
	return &held{interval: b, untold: note[0] == 1}, nil
}
