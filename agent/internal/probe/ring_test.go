package probe

import (
	"encoding/binary"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/testkit"
)

// writer is a ring and a program that puts records into it, as large as those of the capture programs and with as much in them.
type writer struct {
	ring    *ebpf.Map
	program *ebpf.Program
}

type shape struct{ room, used int32 }

func newWriter(t testing.TB, size uint32, shapes ...shape) *writer {
	t.Helper()
	testkit.RequireRoot(t)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: size})
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() })
	source, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4096, MaxEntries: 1})
	require.NoError(t, err)
	t.Cleanup(func() { _ = source.Close() })
	bytes := make([]byte, 4096)
	for i := range bytes {
		bytes[i] = byte('a' + i%26)
	}
	require.NoError(t, source.Put(uint32(0), bytes))
	text := asm.Instructions{}
	for _, s := range shapes {
		text = append(text,
			asm.LoadMapPtr(asm.R1, m.FD()), asm.Mov.Imm(asm.R2, headerSize+s.room), asm.Mov.Imm(asm.R3, 0), asm.FnRingbufReserve.Call(),
			asm.JEq.Imm(asm.R0, 0, "full"), asm.Mov.Reg(asm.R6, asm.R0))
		for at := int16(0); at < headerSize; at += 4 {
			text = append(text, asm.StoreImm(asm.R6, at, 0, asm.Word))
		}
		text = append(text,
			asm.StoreImm(asm.R6, 28, int64(s.used), asm.Word), asm.StoreImm(asm.R6, 32, int64(s.used), asm.Word),
			asm.StoreImm(asm.R6, 59, familyIPv4, asm.Byte),
			asm.Mov.Reg(asm.R1, asm.R6), asm.Add.Imm(asm.R1, headerSize), asm.Mov.Imm(asm.R2, s.used),
			asm.LoadMapValue(asm.R3, source.FD(), 0), asm.FnProbeReadKernel.Call(),
			asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, 1), asm.FnRingbufSubmit.Call())
	}
	text = append(text, asm.Mov.Imm(asm.R0, 0).WithSymbol("full"), asm.Return())
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: text})
	require.NoError(t, err)
	t.Cleanup(func() { _ = program.Close() })
	return &writer{m, program}
}

func (w *writer) run(t testing.TB, times int) {
	t.Helper()
	_, err := w.program.Run(&ebpf.RunOptions{Data: make([]byte, 64), Repeat: uint32(times)})
	require.NoError(t, err)
}

// Every record comes once, whole and in order, also over the end of the ring.
func TestRingInPlace(t *testing.T) {
	t.Parallel()
	w := newWriter(t, uint32(2*os.Getpagesize()), shape{1024, 773}, shape{256, 0}, shape{100, 99})
	r, err := openRing(w.ring)
	require.NoError(t, err)
	t.Cleanup(r.close)
	want := []int{773, 0, 99}
	for round := range 500 {
		// One by one: a repetition that a signal interrupts is begun anew.
		for range 1 + round%3 {
			w.run(t, 1)
		}
		var got []int
		take := func(raw []byte) {
			var e Event
			require.NoError(t, decode(raw, &e))
			for i, c := range e.Data {
				require.Equal(t, byte('a'+i%26), c)
			}
			got = append(got, len(e.Data))
		}
		n, all := r.drain(take)
		require.True(t, all)
		require.Equal(t, len(got), n)
		require.Len(t, got, 3*(1+round%3))
		for i, n := range got {
			require.Equal(t, want[i%3], n)
		}
		require.Zero(t, r.waiting())
	}
}

// BenchmarkRing: what the records of one exchange cost until they are decoded and read once, by the library's reader, which copies them, and
// in place.
func BenchmarkRing(b *testing.B) {
	const size = 16 << 20
	// As the programs for newer kernels reserve room: twice what a request, and what an answer's head take.
	shapes := []shape{{2048, 773}, {512, 170}}
	// About what comes between two looks at 80 000 per second, so that a round of the ring is cold.
	const exchanges = 400
	var event Event
	head := make([]byte, 4096)
	took := 0
	use := func(raw []byte) {
		_ = decode(raw, &event)
		took += copy(head, event.Data)
	}
	for name, drain := range map[string]func(*writer, testing.TB) func(){
		"copied": func(w *writer, b testing.TB) func() {
			reader, err := ringbuf.NewReader(w.ring)
			require.NoError(b, err)
			b.Cleanup(func() { _ = reader.Close() })
			var record ringbuf.Record
			return func() {
				reader.SetDeadline(time.Unix(1, 0))
				for reader.ReadInto(&record) == nil {
					use(record.RawSample)
				}
			}
		},
		"in place": func(w *writer, b testing.TB) func() {
			r, err := openRing(w.ring)
			require.NoError(b, err)
			b.Cleanup(r.close)
			return func() { _, _ = r.drain(use) }
		},
	} {
		b.Run(name, func(b *testing.B) {
			w := newWriter(b, size, shapes...)
			all := drain(w, b)
			spent, n := time.Duration(0), 0
			for b.Loop() {
				w.run(b, exchanges)
				took = 0
				began := time.Now()
				all()
				spent += time.Since(began)
				require.Equal(b, exchanges*(773+170), took)
				n += exchanges
			}
			b.ReportMetric(float64(spent.Nanoseconds())/float64(n), "ns/exchange")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	raw := make([]byte, headerSize+800)
	binary.NativeEndian.PutUint32(raw[32:], 800)
	raw[59] = familyIPv4
	var e Event
	for b.Loop() {
		if err := decode(raw, &e); err != nil {
			b.Fatal(err)
		}
	}
}
